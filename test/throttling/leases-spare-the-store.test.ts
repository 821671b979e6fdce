import { expect, onTestFinished, test } from "vitest";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import type { ThrottlingOptions } from "../../src/throttling/policies.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { freshPrefix } from "../support/world.ts";
import { startThrottlingNode, type ThrottlingNode } from "./support/nodes.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A node with a store of its own, whose scripts can be counted. */
async function nodeAlone(limits: ThrottlingOptions, clock: Clock = systemClock): Promise<ThrottlingNode> {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  return startThrottlingNode({ prefix: freshPrefix(), limits, url: server.url, clock });
}

async function scriptCalls(node: ThrottlingNode): Promise<number> {
  const statistics = await node.commands.info("commandstats");
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(statistics)?.[1] ?? 0);
}

test("a busy user's messages need no round trip, except at most one in eight", async () => {
  const clock = new FakeClock();
  const node = await nodeAlone({ messages: { capacity: 300, refillPerSecond: 100 } }, clock);
  let waited = 0;
  for (let n = 0; n < 240; n++) {
    const result = node.throttling.message("c", { userId: "u" }, "publish");
    if (result instanceof Promise) waited++;
    expect((await result).allowed).toBe(true);
    await clock.advance(5);
    await node.commands.ping();
  }

  expect(await scriptCalls(node)).toBeLessThanOrEqual(240 / 8);
  expect(waited).toBeLessThanOrEqual(8);
});

test("a quiet user takes single tokens and leaves no lease", async () => {
  const node = await nodeAlone({ messages: { capacity: 50, refillPerSecond: 20, portion: { lifeMs: 100 } } });
  for (let n = 0; n < 5; n++) {
    await node.throttling.message("c", { userId: "u" }, "publish");
    await sleep(150);
  }

  const keys = await node.commands.keys("*");
  const states = await Promise.all(keys.map((key) => node.commands.get(key)));
  expect(states.every((state) => state?.split(":").length === 2)).toBe(true);
});

test("a message per second needs no round trip either, even if a lease ends meanwhile", async () => {
  const clock = new FakeClock();
  const node = await startThrottlingNode({
    prefix: freshPrefix(),
    clock,
    limits: { messages: { capacity: 1_000, refillPerSecond: 20 } },
  });
  const waits: number[] = [];
  for (let second = 0; second < 60; second++) {
    // Pauses that bring a lease with something left to its end.
    const pauseMs = second % 20 === 19 ? 6_000 : 1_000;
    const result = node.throttling.message("c", { userId: "u" }, "publish");
    if (result instanceof Promise) waits.push(second);
    await result;
    for (let passedMs = 0; passedMs < pauseMs; passedMs += 200) {
      await clock.advance(200);
      await node.commands.ping();
    }
  }

  expect(waits.filter((second) => second >= 10)).toEqual([]);
});

test("with a share of 0 each message asks Redis", async () => {
  const node = await nodeAlone({ messages: { capacity: 50, refillPerSecond: 20, portion: { share: 0 } } });
  for (let n = 0; n < 30; n++) await node.throttling.message("c", { userId: "u" }, "publish");

  expect(await scriptCalls(node)).toBe(30);
});

test("one user's messages are decided in order of arrival, even if some wait", async () => {
  const node = await nodeAlone({ messages: { capacity: 100, refillPerSecond: 1 } });
  const order: number[] = [];
  const acts = Array.from({ length: 100 }, async (_, n) => {
    await node.throttling.message("c", { userId: "u" }, "publish");
    order.push(n);
  });
  await Promise.all(acts);

  expect(order).toEqual(Array.from({ length: 100 }, (_, n) => n));
});
