import { expect, onTestFinished, test } from "vitest";
import { NodeQueries } from "../../src/cluster/node-queries.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { quietLog, redisWorld } from "../support/world.ts";

test("a hundred watchers who ask the same cost each node one answer, and get that of every node", async () => {
  const { redis, keys } = await redisWorld();
  const living = ["n1/a", "n2/b"];
  const membership = { living, livingNow: () => Promise.resolve(living) };
  const answered: string[] = [];
  // By it no answer comes too late.
  const clock = new FakeClock();
  const nodes = await Promise.all(
    ["n1", "n2"].map(async (nodeId) => {
      const feed = createShardedFeed({ subscriber: redis.connection("subscriber"), clock: systemClock });
      const commands = redis.connection("commands");
      const queries = new NodeQueries({ commands, feed, keys, clock, log: quietLog, nodeId, membership });
      queries.on("count", ({ of }) => {
        answered.push(`${nodeId} ${String(of)}`);
        return `${nodeId} has ${String(of)}`;
      });
      await queries.start();
      onTestFinished(() => queries.stop());
      return queries;
    }),
  );

  const rounds = await Promise.all(
    Array.from({ length: 100 }, () => nodes[0]!.ask<string>({ type: "count", of: "x" })),
  );

  expect(answered.toSorted()).toEqual(["n1 x", "n2 x"]);
  for (const { answers, silent } of rounds)
    expect([answers.map(({ value }) => value), silent]).toEqual([["n1 has x", "n2 has x"], []]);
  await nodes[1]!.ask({ type: "count", of: "y" });
  expect(answered).toHaveLength(4);
});
