import { expect, onTestFinished, test } from "vitest";
import { createRedisConnections, type RedisClient } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { RateLimitResult } from "../../src/throttling/rate-limit-result.ts";
import { createThrottling } from "../../src/throttling/throttling.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { freshPrefix, quietLog } from "../support/world.ts";

async function connected(): Promise<RedisClient> {
  const address = { topology: "cluster" as const, urls: [await clusterOfOne()] };
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  return commands;
}

const shared = { clock: systemClock, log: quietLog };

test("on Redis Cluster all limiters count exactly, without crossing slots", async () => {
  const commands = await connected();
  const five = { capacity: 5, refillPerSecond: 0.001, whenStoreIsAway: "closed" as const };
  const window = { requests: 5, windowSeconds: 60, whenStoreIsAway: "closed" as const };
  const refusals: string[] = [];
  const throttling = createThrottling(
    {
      ...shared,
      commands,
      keys: createKeys(freshPrefix()),
      metrics: { refused: (limiter, reason) => void refusals.push(`${limiter} ${reason}`) },
    },
    { messages: five, handshakes: five, http: window, logins: window, publications: { chat: five } },
  );
  const acts = Array.from({ length: 20 }, (_, user) => [
    () => throttling.message(`c${user}`, { userId: `u${user}` }, "publish"),
    () => throttling.handshake(`192.0.2.${user}`),
    () => throttling.http(`key-${user}`),
    () => throttling.login("192.0.2.1", `u${user}`),
    () => throttling.publication("chat", `chat:${user}`),
  ]).flat();

  const allowed = await Promise.all(
    acts.map(async (act) => {
      const results: RateLimitResult[] = [];
      for (let n = 0; n < 8; n++) results.push(await act());
      return results.filter((result) => result.allowed).length;
    }),
  );
  await throttling.stop();

  expect(new Set(allowed)).toEqual(new Set([5]));
  expect(refusals.every((refusal) => refusal.endsWith(" limit"))).toBe(true);
});
