import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { systemClock } from "../../src/runtime/clock.ts";
import { createCircuitBreaker } from "../../src/redis/circuit-breaker.ts";
import { BoundedMap } from "../../src/runtime/bounded-map.ts";
import { micro } from "../../src/throttling/rate-limit-result.ts";
import { createLeaseStore } from "../../src/throttling/lease-store.ts";
import { LeasedBucketLimiter } from "../../src/throttling/leased-bucket-limiter.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { heapMegabytes } from "../support/memory.ts";
import { eventually, freshPrefix, quietLog, redisWorld } from "../support/world.ts";
import { startThrottlingNode } from "./support/nodes.ts";

/** 200,000 strangers in an ordinary run; 1,000,000 where asked for. */
const strangers = Number(process.env.STRANGERS ?? 200_000);

test(`${strangers} users who each send once leave a node's memory where it was`, { timeout: 300_000 }, async () => {
  const node = await startThrottlingNode({ prefix: freshPrefix(), limits: {} });
  await node.throttling.message("warm", { userId: "up" }, "publish");
  const before = heapMegabytes();

  let most = 0;
  for (let n = 0; n < strangers; n += 2_000) {
    await Promise.all(
      Array.from({ length: 2_000 }, async (_, m) => {
        await node.throttling.message(`c${n + m}`, { userId: `u${n + m}` }, "publish");
        node.throttling.forget(`c${n + m}`);
      }),
    );
    if (n % 50_000 === 0) most = Math.max(most, heapMegabytes() - before);
  }

  expect(most).toBeLessThan(80);
  await eventually(() => expect(heapMegabytes() - before).toBeLessThan(8), 30_000);
});

test("connections and addresses that never end are bounded too", async () => {
  const { redis, keys } = await redisWorld();
  const clock = new FakeClock();
  const store = createLeaseStore({ commands: redis.connection("commands"), keys, holder: "t" }, "m", {
    rule: { capacity: 10, refillPerSecond: 0.001 },
    share: 0.25,
    life: 2 * micro,
  });
  const rule = { capacity: 10, refillPerSecond: 0.001 };
  const buckets = new LeasedBucketLimiter(
    { store, clock, breaker: createCircuitBreaker({ clock, log: quietLog }) },
    { rule, share: 0.25, life: 2 * micro, whenStoreIsAway: "local", maxBuckets: 1_000 },
  );
  let most = 0;
  for (let n = 0; n < 20; n++) {
    await Promise.all(Array.from({ length: 500 }, async () => buckets.take(buckets.bucket(randomUUID()), micro)));
    most = Math.max(most, buckets.size);
  }

  expect(most).toBeLessThanOrEqual(1_000);
});

test("an idle user's state is dropped once its bucket is full again", async () => {
  const { redis, keys } = await redisWorld();
  const clock = new FakeClock();
  const rule = { capacity: 10, refillPerSecond: 5 };
  const terms = { rule, share: 0.25, life: 2 * micro };
  const buckets = new LeasedBucketLimiter(
    {
      store: createLeaseStore({ commands: redis.connection("commands"), keys, holder: "t" }, "m", terms),
      clock,
      breaker: createCircuitBreaker({ clock: systemClock, log: quietLog }),
    },
    { ...terms, whenStoreIsAway: "local", maxBuckets: 1_000 },
  );
  const account = buckets.bucket("u");
  for (let n = 0; n < 5; n++) await buckets.take(account, micro);

  buckets.sweep();
  expect([buckets.size, account.isCached]).toEqual([1, true]);
  await clock.advance(3_000);
  buckets.sweep();
  await eventually(() => {
    buckets.sweep();
    expect([buckets.size, account.isCached]).toEqual([0, false]);
  });
});

test("a full map evicts its oldest sixteenth at once", () => {
  const evicted: number[] = [];
  const map = new BoundedMap<number, number>(160, (value) => evicted.push(value));
  for (let n = 0; n < 161; n++) map.set(n, n);

  expect(map.size).toBe(151);
  expect(evicted).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
