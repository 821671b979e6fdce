import { Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { createLogger } from "../../src/runtime/logger.ts";
import type { MessageLimitResult } from "../../src/throttling/throttling.ts";
import { HeavyHitters } from "../../src/throttling/heavy-hitters.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { freshPrefix } from "../support/world.ts";
import { startThrottlingNode, type ThrottlingNode } from "./support/nodes.ts";

const five = { capacity: 5, refillPerSecond: 0.01 };

async function send(node: ThrottlingNode, times: number, connection = "c", user = "u"): Promise<MessageLimitResult[]> {
  const results: MessageLimitResult[] = [];
  for (let n = 0; n < times; n++) results.push(await node.throttling.message(connection, { userId: user }, "publish"));
  return results;
}

const allowed = (results: MessageLimitResult[]): number => results.filter((result) => result.allowed).length;

describe("a refusal", () => {
  test("says when to retry, and is counted by limiter and reason only", async () => {
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits: { messages: five } });

    const [, , , , , refusal] = await send(node, 6);

    expect(refusal).toMatchObject({ allowed: false, remaining: 0, reason: "limit" });
    expect(refusal?.retryAfterMs).toBeGreaterThan(90_000);
    expect(refusal?.retryAfterMs).toBeLessThanOrEqual(100_000);
    expect(refusal?.resetAt).toBeGreaterThan(Date.now() + 400_000);
    expect(node.refusals).toEqual(["messages limit"]);
  });

  test("of a cost above the capacity says that it is never allowed", async () => {
    const limits = { messages: { ...five, costs: { history: 6 } } };
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits });

    expect(await node.throttling.message("c", { userId: "u" }, "history")).toMatchObject({
      retryAfterMs: Infinity,
      reason: "never",
    });
    expect(allowed(await send(node, 6))).toBe(5);
  });

  test("costs depend on the event; free events are never refused", async () => {
    const limits = { messages: { ...five, costs: { history: 4, unsubscribe: 0 } } };
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits });

    expect((await node.throttling.message("c", { userId: "u" }, "history")).remaining).toBe(1);
    expect((await node.throttling.message("c", { userId: "u" }, "history")).allowed).toBe(false);
    expect((await node.throttling.message("c", { userId: "u" }, "anything")).allowed).toBe(true);
    expect((await node.throttling.message("c", { userId: "u" }, "anything")).allowed).toBe(false);
    expect((await node.throttling.message("c", { userId: "u" }, "unsubscribe")).allowed).toBe(true);
  });

  test("counts a user's bytes of large events across nodes; small events are still allowed", async () => {
    const bytes = { capacity: 100_000, refillPerSecond: 1 };
    const options = { prefix: freshPrefix(), limits: { messages: { capacity: 1_000, refillPerSecond: 1 }, bytes } };
    const nodes = [await startThrottlingNode(options), await startThrottlingNode(options)] as const;
    const sendLarge = (n: number) =>
      nodes[n % 2 === 0 ? 0 : 1].throttling.message(`c${n % 4}`, { userId: "u" }, "publish", 10_000);

    const results: MessageLimitResult[] = [];
    for (let n = 0; n < 30; n++) results.push(await sendLarge(n));

    expect(allowed(results)).toBe(10);
    expect(results.at(-1)).toMatchObject({ allowed: false, reason: "limit", limiter: "bytes" });
    expect(results.at(-1)?.retryAfterMs).toBeGreaterThan(1_000_000);
    expect((await nodes[0].throttling.message("c", { userId: "u" }, "publish", 1_024)).allowed).toBe(true);
    expect((await nodes[0].throttling.message("c", { userId: "u" }, "publish", 1_025)).allowed).toBe(false);
    expect((await nodes[0].throttling.message("d", { userId: "other" }, "publish", 10_000)).allowed).toBe(true);
  });

  test("never affects the largest allowed event, however small the bucket of bytes", async () => {
    const limits = { bytes: { capacity: 1_000, refillPerSecond: 1 }, payloadBytes: 65_536 };
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits });

    expect((await node.throttling.message("c", { userId: "u" }, "publish", 66_000)).allowed).toBe(true);
    expect((await node.throttling.message("c", { userId: "u" }, "publish", 66_000)).allowed).toBe(false);
  });

  test("of one user does not affect another, nor the same name in other case", async () => {
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits: { messages: five } });
    await send(node, 10);

    expect(allowed(await send(node, 5, "d", "U"))).toBe(5);
  });

  test("is cached: repeated attempts are refused by the node without asking Redis", async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const limits = { messages: five, logins: { requests: 2, windowSeconds: 60 } };
    // A node asks again after a second: here that second does not pass.
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits, url: server.url, clock: new FakeClock() });
    await send(node, 6);
    for (let n = 0; n < 3; n++) await node.throttling.login("192.0.2.1", "u");
    const before = await scriptCalls(node);

    const hammered = await send(node, 1_000, "d");
    const logins = await Promise.all(Array.from({ length: 1_000 }, () => node.throttling.login("192.0.2.1", "u")));

    expect(before).toBeGreaterThan(0);
    expect([...hammered, ...logins].some((result) => result.allowed)).toBe(false);
    expect(await scriptCalls(node)).toBe(before);
  });
});

describe("repeated refusals", () => {
  const limits = { messages: { ...five, closeAfter: { refusals: 20, windowSeconds: 10 } } };

  test("close the connection that caused them", async () => {
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits });

    const results = await send(node, 5 + 21, "c");

    expect(results.findIndex(({ close }) => close)).toBe(25);
    expect((await send(node, 1, "other"))[0]?.close).toBeUndefined();
  });

  test("below the threshold in each window do not", async () => {
    const clock = new FakeClock();
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits, clock });
    const results = await send(node, 5);
    for (let window = 0; window < 5; window++) {
      results.push(...(await send(node, 20)));
      await clock.advance(10_001);
    }

    expect(results.some(({ close }) => close)).toBe(false);
  });

  test("10,000 messages at once on one connection: the capacity is allowed, and it is closed after 20 refusals", async () => {
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits });

    const results = await Promise.all(
      Array.from({ length: 10_000 }, async () => node.throttling.message("c", { userId: "u" }, "publish")),
    );

    expect(allowed(results)).toBe(5);
    expect(results.filter(({ close }) => close)).toHaveLength(10_000 - 5 - 20);
  });
});

describe("shadow mode", () => {
  test("counts what it would refuse, but refuses nothing", async () => {
    const shadow = { ...five, shadow: true };
    const limits = {
      messages: { ...shadow, closeAfter: { refusals: 1, windowSeconds: 10 } },
      handshakes: shadow,
      logins: { requests: 5, windowSeconds: 60, shadow: true },
    };
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits });

    const results = await send(node, 10);
    for (let n = 0; n < 10; n++) results.push(await node.throttling.handshake("192.0.2.1"));
    for (let n = 0; n < 10; n++) results.push(await node.throttling.login("192.0.2.1", "u"));

    expect(allowed(results)).toBe(30);
    expect(results.some(({ close, retryAfterMs }) => close === true || retryAfterMs > 0)).toBe(false);
    for (const limiter of ["messages", "handshakes", "logins"]) {
      expect(node.refusals.filter((refusal) => refusal === `${limiter} shadow`)).toHaveLength(5);
    }
  });
});

describe("heavy hitters", () => {
  test("are logged in one line every ten seconds, if any", async () => {
    const lines: Record<string, unknown>[] = [];
    const destination = new Writable({
      write: (chunk, _, done) => (lines.push(JSON.parse(String(chunk)) as Record<string, unknown>), done()),
    });
    const clock = new FakeClock();
    const log = createLogger({ level: "info", destination });
    const node = await startThrottlingNode({ prefix: freshPrefix(), limits: { messages: five }, clock, log });
    await send(node, 15, "c", "loud");
    await send(node, 8, "d", "louder\nthan most");
    await send(node, 5, "e", "quiet");

    await clock.advance(30_000);

    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      msg: "most refused clients",
      worst: [
        { limiter: "messages", subject: "loud", refusals: 10 },
        { limiter: "messages", subject: "louder\nthan most", refusals: 3 },
      ],
    });
  });

  test("are found in fixed memory among a hundred thousand subjects", () => {
    const offenders = new HeavyHitters();
    for (let n = 0; n < 100_000; n++) offenders.count("messages", n % 10 === 0 ? "worst" : `u${n}`);

    const [worst] = offenders.drain(1);

    expect(worst?.subject).toBe("worst");
    expect((worst?.refusals ?? 0) - (worst?.overcount ?? 0)).toBeLessThanOrEqual(10_000);
    expect(worst?.refusals).toBeGreaterThanOrEqual(10_000);
  });
});

/** Scripts a store of our own has run. */
async function scriptCalls(node: ThrottlingNode): Promise<number> {
  const statistics = await node.commands.info("commandstats");
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(statistics)?.[1]);
}
