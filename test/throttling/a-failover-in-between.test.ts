import { expect, onTestFinished, test } from "vitest";
import { createRedisConnections, type RedisAddress } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { createThrottling, type Throttling } from "../../src/throttling/throttling.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";
import { skewedClock } from "./support/nodes.ts";
import { startWatchedStore } from "./support/sentinel.ts";

const fiveMinutes = 300_000;
const capacity = 600;
const limits = {
  messages: {
    capacity,
    refillPerSecond: 0.001,
    whenStoreIsAway: "closed" as const,
    closeAfter: { refusals: 10_000_000, windowSeconds: 10 },
  },
};

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function startNode(address: RedisAddress, prefix: string, skewMs: number): Promise<Throttling> {
  const redis = createRedisConnections({ address, nodeId: `skew${skewMs}`, log: quietLog });
  onTestFinished(() => redis.close());
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const metrics = { refused: () => undefined };
  const dependencies = { commands, keys: createKeys(prefix), clock: skewedClock(skewMs), log: quietLog, metrics };
  const throttling = createThrottling(dependencies, limits);
  throttling.start();
  onTestFinished(() => throttling.stop());
  return throttling;
}

test("200 takers on three nodes, minutes between their clocks, the primary killed meanwhile: within capacity × 1.01", async () => {
  const { address, primary, inStep } = await startWatchedStore();
  const prefix = freshPrefix();
  const nodes = await Promise.all([0, fiveMinutes, -fiveMinutes].map((skew) => startNode(address, prefix, skew)));
  let allowed = 0;
  let isDone = false;
  const killed = Promise.withResolvers<void>();
  const take = async (n: number): Promise<void> => {
    const node = nodes[n % 3] as Throttling;
    await sleep(n * 1.5);
    while (!isDone) {
      if ((await node.message(`c${n}`, { userId: "u" }, "publish")).allowed) allowed++;
      // However long it takes to kill the primary, enough is left for afterwards.
      if (allowed > capacity / 4) await killed.promise;
      await sleep(300);
    }
  };

  const takers = Promise.all(Array.from({ length: 200 }, (_, n) => take(n)));
  await eventually(() => expect(allowed).toBeGreaterThan(capacity / 4));
  await inStep();
  primary.process.kill("SIGKILL");
  const before = allowed;
  killed.resolve();
  await eventually(() => expect(allowed).toBeGreaterThan(capacity * 0.6), 60_000);
  await sleep(3_000);
  isDone = true;
  await takers;

  expect(before).toBeLessThan(capacity * 0.6);
  expect(allowed).toBeLessThanOrEqual(capacity * 1.01);
});
