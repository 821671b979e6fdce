import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createLimiter, fixedWindow, slidingWindow, tokenBucket, type Limiter } from "../../src/throttling/limiter.ts";
import type { LimiterDependencies } from "../../src/throttling/limiter.ts";
import { within } from "../support/promised.ts";
import { freshPrefix } from "../support/world.ts";
import { limiterNode, ownConnection, skewedClock } from "./support/nodes.ts";

/** Gains one token in a quarter of an hour: what passes in a test is the capacity. */
const still = { capacity: 100, refillPerSecond: 0.001 };
const window = { requests: 100, windowSeconds: 900 };

const kinds = {
  "token bucket": (node: LimiterDependencies) => createLimiter(node, tokenBucket, settings(still)),
  "sliding window": (node: LimiterDependencies) => createLimiter(node, slidingWindow, settings(window)),
  "fixed window": (node: LimiterDependencies) => createLimiter(node, fixedWindow, settings(window)),
};

const settings = <Rule>(rule: Rule) => ({ name: "t", rule, whenStoreIsAway: "closed" as const });

const fiveMinutes = 300_000;

describe.each(Object.entries(kinds))("%s", (_, create) => {
  test("200 concurrent calls on three nodes with clocks five minutes apart get exactly the limit", async () => {
    const prefix = freshPrefix();
    const clocks = [skewedClock(0), skewedClock(fiveMinutes), skewedClock(-fiveMinutes)];
    const nodes = await Promise.all(clocks.map(async (clock) => create(await limiterNode(prefix, clock))));

    const results = await Promise.all(Array.from({ length: 200 }, (_, n) => takeOn(nodes, n)));

    expect(results.filter(({ allowed }) => allowed)).toHaveLength(100);
    expect(Math.min(...results.map(({ remaining }) => remaining))).toBe(0);
  });

  test("is all or nothing: a cost that does not fit takes nothing", async () => {
    const limiter = create(await limiterNode(freshPrefix()));

    expect(await limiter.take("s", 60)).toMatchObject({ allowed: true, remaining: 40 });
    expect(await limiter.take("s", 41)).toMatchObject({ allowed: false, remaining: 40, reason: "limit" });
    expect(await limiter.take("s", 40)).toMatchObject({ allowed: true, remaining: 0 });
  });

  test("a cost above the limit is never allowed", async () => {
    const limiter = create(await limiterNode(freshPrefix()));

    expect(await limiter.take("s", 101)).toMatchObject({ allowed: false, retryAfterMs: Infinity, reason: "never" });
    expect(await limiter.take("s", 100)).toMatchObject({ allowed: true });
  });

  test("`resetAt` uses Redis' clock, not the node's", async () => {
    const limiter = create(await limiterNode(freshPrefix(), skewedClock(fiveMinutes)));

    const { resetAt } = await limiter.take("s", 1);

    const longest = 1_000 * Math.max(1 / still.refillPerSecond, window.windowSeconds * 1.01);
    expect(resetAt).toBeLessThanOrEqual(Date.now() + longest + 1_000);
  });

  test("every key has a TTL, at most seconds longer than its rule", async () => {
    const prefix = freshPrefix();
    const node = await limiterNode(prefix);
    const limiter = create(node);
    const key = node.keys.limiter("t", "s");

    for (const cost of [1, 1, 100, 98, 1]) {
      await limiter.take("s", cost);

      const ttl = await node.commands.pttl(key);
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(100_000_000 + 10_000);
    }
  });

  test("subjects with special characters do not affect other keys", async () => {
    const limiter = create(await limiterNode(freshPrefix()));

    await limiter.take("a", 100);

    for (const subject of ["a}", "{a}", "a:state", "A", "a ", "a*"]) {
      expect(await limiter.take(subject, 100)).toMatchObject({ allowed: true });
    }
  });

  test("survives SCRIPT FLUSH", async () => {
    const node = await limiterNode(freshPrefix());
    const limiter = create(node);
    const admin = await ownConnection();

    await limiter.take("s", 1);
    await admin.script("FLUSH");

    expect(await limiter.take("s", 1)).toMatchObject({ allowed: true, remaining: 98 });
  });
});

describe("a store whose clock went back by five minutes (a failover to another machine)", () => {
  const now = (): number => Date.now() * 1_000;
  const ahead = fiveMinutes * 1_000;

  test("does not refill a token bucket for it, nor stop refilling it", async () => {
    const node = await limiterNode(freshPrefix());
    const rule = { capacity: 10, refillPerSecond: 50 };
    await node.commands.set(node.keys.limiter("t", "s"), `0:${now() + ahead}`);
    const limiter = createLimiter(node, tokenBucket, settings(rule));

    expect(await limiter.take("s", 1)).toMatchObject({ allowed: false, remaining: 0 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await limiter.take("s", 1)).toMatchObject({ allowed: true });
  });

  test("does not keep a fixed window closed longer than its length", async () => {
    const node = await limiterNode(freshPrefix());
    await node.commands.set(node.keys.limiter("t", "s"), `5:${now() + ahead}`);
    const limiter = createLimiter(node, fixedWindow, settings({ requests: 5, windowSeconds: 0.2 }));

    const result = await limiter.take("s", 1);
    await new Promise((resolve) => setTimeout(resolve, 250));

    expect(result.allowed).toBe(false);
    expect(result.retryAfterMs).toBeLessThanOrEqual(200);
    expect(await limiter.take("s", 1)).toMatchObject({ allowed: true });
  });

  test("a sliding window neither forgets nor extends its counts", async () => {
    const node = await limiterNode(freshPrefix());
    const limiter = createLimiter(node, slidingWindow, settings({ requests: 5, windowSeconds: 0.5 }));
    const subject = await within(400, async () => {
      const fresh = randomUUID();
      await limiter.take(fresh, 4);
      await moveAhead(node, fresh, ahead, 0.5);
      expect(await limiter.take(fresh, 2)).toMatchObject({ allowed: false, remaining: 1 });
      return fresh;
    });

    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(await limiter.take(subject, 5)).toMatchObject({ allowed: true });
  });
});

function takeOn(nodes: readonly Limiter[], n: number) {
  const node = nodes[n % nodes.length];
  if (node === undefined) throw new Error("no node");
  return node.take("s", 1);
}

/** Rewrites a sliding window as one that was counted while the store's clock stood `micros` later. */
async function moveAhead(node: LimiterDependencies, subject: string, micros: number, windowSeconds: number) {
  const key = node.keys.limiter("t", subject);
  const slots = micros / (windowSeconds * 10_000);
  const state = await node.commands.hgetall(key);
  await node.commands.del(key);
  for (const [field, value] of Object.entries(state)) {
    if (/^\d+$/.test(field)) await node.commands.hset(key, String(Number(field) + slots), value);
    else if (field === "head") await node.commands.hset(key, field, String(Number(value) + slots));
    else if (field === "last") await node.commands.hset(key, field, String(Number(value) + micros));
    else await node.commands.hset(key, field, value);
  }
}
