import { expect, inject, it, onTestFinished } from "vitest";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { eventually, quietLog } from "../support/world.ts";
import { startBoards } from "./board-node.ts";

it("increments over a connection that is cut again and again are counted once, or refused", async () => {
  const { leaderboards, commands } = await startBoards({ "*": { mode: "increment" } });
  const other = createRedisConnections({
    address: { topology: "single", url: inject("redisUrl") },
    nodeId: "other",
    log: quietLog,
  });
  onTestFinished(() => other.close());
  const knife = other.connection("commands");
  await other.ready(60_000);
  const counts = { acknowledged: 0, unknown: 0, isOver: false };
  const backend = async (member: string): Promise<void> => {
    while (!counts.isOver) {
      const answer = await leaderboards.submit("b", { member, score: 1 }).catch((error: Error) => error);
      if (!(answer instanceof Error)) counts.acknowledged += 1;
      else if (!answer.message.includes("isn't writeable")) counts.unknown += 1;
      if (answer instanceof Error) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  const backends = Array.from({ length: 20 }, (_, index) => backend(`m${index}`));
  for (let cut = 0; cut < 12 || counts.acknowledged <= 100; cut += 1) {
    const id = await eventually(() => commands.client("ID"));
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 30));
    await knife.client("KILL", "ID", id);
  }
  counts.isOver = true;
  await Promise.all(backends);

  const { entries } = await eventually(() => leaderboards.top("b", { limit: 100 }));
  const counted = entries.reduce((sum, { score }) => sum + score, 0);
  expect(counts.acknowledged).toBeGreaterThan(100);
  expect(counted).toBeGreaterThanOrEqual(counts.acknowledged);
  expect(counted).toBeLessThanOrEqual(counts.acknowledged + counts.unknown);
});
