import { describe, expect, test } from "vitest";
import type { RateLimitResult } from "../../src/throttling/rate-limit-result.ts";
import type { ThrottlingOptions } from "../../src/throttling/policies.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { ownConnection, skewedClock, startThrottlingNode, type ThrottlingNode } from "./support/nodes.ts";
import { mostAbove, type PassedAct } from "./support/bound.ts";
import { seeded } from "../support/random.ts";
import { createKeys } from "../../src/redis/keys.ts";

/** Gains one token in a quarter of an hour: what passes in a test is the capacity. */
const still = (capacity: number, portion: { share?: number; lifeMs?: number } = {}): ThrottlingOptions => ({
  messages: { capacity, refillPerSecond: 0.001, portion, closeAfter: { refusals: 1_000_000, windowSeconds: 10 } },
});

const fiveMinutes = 300_000;

async function threeNodes(limits: ThrottlingOptions, prefix = freshPrefix()): Promise<ThrottlingNode[]> {
  const clocks = [skewedClock(0), skewedClock(fiveMinutes), skewedClock(-fiveMinutes)];
  return Promise.all(clocks.map((clock) => startThrottlingNode({ prefix, limits, clock })));
}

const allowed = (results: readonly RateLimitResult[]): number => results.filter((result) => result.allowed).length;

const send = async (node: ThrottlingNode, connection: string, event = "publish"): Promise<RateLimitResult> =>
  node.throttling.message(connection, { userId: "u" }, event);

describe("a user on three nodes with five minutes between their clocks", () => {
  test("200 concurrent messages: at most the capacity is allowed, and exactly the capacity with single takes", async () => {
    for (const share of [0, 0.25, 1]) {
      const nodes = await threeNodes(still(100, { share }));

      const results = await Promise.all(
        Array.from({ length: 200 }, (_, n) => send(nodes[n % 3] as ThrottlingNode, `c${n}`)),
      );

      expect(allowed(results)).toBeLessThanOrEqual(100);
      if (share === 0) expect(allowed(results)).toBe(100);
    }
  });

  test("a node's unused lease is available to others after its user disconnected", async () => {
    const nodes = await threeNodes(still(100, { share: 0.5, lifeMs: 60_000 }));
    const passed: RateLimitResult[] = [];
    for (const node of nodes) {
      for (let n = 0; n < 10; n++) passed.push(await send(node, "c"));
      node.throttling.forget("c");
    }
    const last = nodes[0] as ThrottlingNode;

    await eventually(async () => {
      passed.push(await send(last, "c"));
      expect(allowed(passed)).toBe(100);
    });
    expect((await send(last, "c")).allowed).toBe(false);
  });

  test("so is its unused lease of ephemeral messages, which count by their bytes", async () => {
    const capacity = 100_000;
    const ephemeral = { capacity, refillPerSecond: 1, portion: { share: 0.5, lifeMs: 60_000 } };
    const [node] = (await threeNodes({ ephemeral })) as [ThrottlingNode];
    for (let n = 0; n < 10; n++) await node.throttling.message("c", { userId: "u" }, "ephemeral", 1_000);
    const left = async () =>
      (await node.throttling.counts.bucketsOf("u")).find(({ limiter }) => limiter === "ephemeral")?.left;
    expect(await left()).toBeLessThan(capacity - 10_000);

    node.throttling.forget("c");

    await eventually(async () => expect(await left()).toBeGreaterThanOrEqual(capacity - 10_000));
  });

  test("a node that stops releases its leases", async () => {
    const nodes = await threeNodes(still(100, { share: 0.5, lifeMs: 60_000 }));
    const [first, second] = nodes as [ThrottlingNode, ThrottlingNode];
    const passed: RateLimitResult[] = [];
    for (let n = 0; n < 10; n++) passed.push(await send(first, "c"));
    await first.throttling.stop();

    for (let n = 0; n < 100; n++) passed.push(await send(second, "c"));

    expect(allowed(passed)).toBe(100);
  });

  test("an unused lease is released when it ends", async () => {
    const nodes = await threeNodes(still(100, { share: 0.5, lifeMs: 300 }));
    const [first, second] = nodes as [ThrottlingNode, ThrottlingNode];
    const passed: RateLimitResult[] = [];
    for (let n = 0; n < 10; n++) passed.push(await send(first, "c"));

    await eventually(async () => {
      passed.push(await send(second, "c"));
      expect(allowed(passed)).toBe(100);
    });
  });

  test("tokens leased long ago are not allowed a second time elsewhere", async () => {
    const rule = { capacity: 40, refillPerSecond: 40 };
    const nodes = await threeNodes({ messages: { ...rule, portion: { share: 1, lifeMs: 5_000 } } });
    const hoarder = nodes[0] as ThrottlingNode;
    for (let n = 0; n < 16; n++) await send(hoarder, "c");
    await new Promise((resolve) => setTimeout(resolve, 1_100));

    const began = performance.now();
    const results = await Promise.all(
      nodes.flatMap((node) => Array.from({ length: rule.capacity }, () => send(node, "c"))),
    );

    const refilled = ((performance.now() - began) / 1_000) * rule.refillPerSecond;
    expect(allowed(results)).toBeLessThanOrEqual(rule.capacity * 1.01 + refilled);
    expect(allowed(results)).toBeGreaterThanOrEqual(rule.capacity * 0.9);
  });

  test.each([1, 2, 3, 4])(
    "random hoarding, bursts, pauses and farewells never pass the bound (seed %i)",
    async (seed) => {
      const random = seeded(seed);
      const rule = { capacity: 20 + Math.floor(random() * 60), refillPerSecond: 50 + Math.floor(random() * 100) };
      const portion = { share: random(), lifeMs: 50 + Math.floor(random() * 1_500) };
      const nodes = await threeNodes({ messages: { ...rule, portion, costs: { history: 5 } } });
      const passed: PassedAct[] = [];
      const any = (): ThrottlingNode => nodes[Math.floor(random() * 3)] as ThrottlingNode;
      const act = async (node = any()): Promise<void> => {
        const cost = random() < 0.1 ? 5 : 1;
        const asked = performance.now();
        const result = await send(node, "c", cost === 5 ? "history" : "publish");
        if (result.allowed) passed.push({ asked, heard: performance.now(), cost });
        if (random() < 0.02) node.throttling.forget("c");
      };
      const phases = [
        async () => Promise.all(Array.from({ length: rule.capacity * 2 }, () => act())),
        async (node = any()) => {
          for (let n = random() * rule.capacity; n > 0; n--) await act(node);
        },
        async () => new Promise((resolve) => setTimeout(resolve, random() * 1_000)),
      ];

      for (const began = performance.now(); performance.now() - began < 3_000 || passed.length <= rule.capacity;) {
        await phases[Math.floor(random() * phases.length)]?.();
      }

      expect(passed.length).toBeGreaterThan(rule.capacity);
      expect(mostAbove(passed, rule.refillPerSecond)).toBeLessThanOrEqual(rule.capacity * 1.01);
    },
  );
});

describe("a bucket's key in Redis", () => {
  test("has a TTL after every step", async () => {
    const prefix = freshPrefix();
    const [node] = await threeNodes({ messages: { capacity: 40, refillPerSecond: 10 } }, prefix);
    const admin = await ownConnection();
    const key = createKeys(prefix).limiter("messages", "u");

    for (let n = 0; n < 60; n++) {
      await send(node as ThrottlingNode, "c");

      const ttl = await admin.pttl(key);
      expect(ttl).toBeGreaterThan(0);
      expect(ttl).toBeLessThanOrEqual(4_000 + 12_000 + 1_000);
    }
  });

  test("expires once the bucket is full again, as does the node's copy", async () => {
    const prefix = freshPrefix();
    const [node] = await threeNodes({ messages: { capacity: 5, refillPerSecond: 50 } }, prefix);
    const admin = await ownConnection();
    await send(node as ThrottlingNode, "c");

    await eventually(async () => expect(await admin.exists(createKeys(prefix).limiter("messages", "u"))).toBe(0));
  });

  test("with a clock five minutes ahead neither starves the user nor fills the bucket", async () => {
    const prefix = freshPrefix();
    const rule = { capacity: 10, refillPerSecond: 50 };
    const [node] = (await threeNodes({ messages: rule }, prefix)) as [ThrottlingNode];
    const ahead = (Date.now() + fiveMinutes) * 1_000;
    const key = createKeys(prefix).limiter("messages", "u");
    await node.commands.set(key, `0:${ahead}:other:4000000:${ahead + 2_000_000}`);

    expect((await send(node, "c")).allowed).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await send(node, "c")).allowed).toBe(true);
  });
});
