import { describe, expect, onTestFinished, test } from "vitest";
import type { WhenStoreIsAway } from "../../src/throttling/rate-limit-result.ts";
import type { RateLimitResult } from "../../src/throttling/rate-limit-result.ts";
import type { ThrottlingOptions } from "../../src/throttling/policies.ts";
import { promised, timed } from "../support/promised.ts";
import { startRedisServer, type RedisServer } from "../support/redis-server.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { startThrottlingNode, type ThrottlingNode } from "./support/nodes.ts";

const classes = {
  messages: (node: ThrottlingNode) => node.throttling.message("c", { userId: "u" }, "publish"),
  handshakes: (node: ThrottlingNode) => node.throttling.handshake("192.0.2.1"),
  http: (node: ThrottlingNode) => node.throttling.http("backend"),
  logins: (node: ThrottlingNode) => node.throttling.login("192.0.2.1", "u"),
  publications: (node: ThrottlingNode) => node.throttling.publication("chat", "chat:1"),
};

type Class = keyof typeof classes;

const tenOf = (mode: { whenStoreIsAway?: WhenStoreIsAway }): ThrottlingOptions => {
  const bucket = { capacity: 10, refillPerSecond: 0.01, ...mode };
  const window = { requests: 10, windowSeconds: 900, ...mode };
  return { messages: bucket, handshakes: bucket, http: window, logins: window, publications: { chat: bucket } };
};

async function ownServer(): Promise<RedisServer> {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  return server;
}

async function take(node: ThrottlingNode, name: Class, times: number): Promise<RateLimitResult[]> {
  const results: RateLimitResult[] = [];
  for (let n = 0; n < times; n++) results.push(await classes[name](node));
  return results;
}

const allowed = (results: RateLimitResult[]): number => results.filter((result) => result.allowed).length;

describe("an unreachable Redis", () => {
  test.each<[WhenStoreIsAway, number]>([
    ["open", 30],
    ["closed", 0],
    ["local", 10],
  ])("%s: of 30 acts of each class %i pass", async (whenStoreIsAway, passing) => {
    const server = await ownServer();
    const limits = tenOf({ whenStoreIsAway });
    const node = await startThrottlingNode({ prefix: freshPrefix(), url: server.url, limits });
    await server.stop();

    for (const name of Object.keys(classes) as Class[]) {
      const results = await take(node, name, 30);
      expect([name, allowed(results)]).toEqual([name, passing]);
      if (whenStoreIsAway === "closed") expect(results[0]).toMatchObject({ reason: "store_away", retryAfterMs: 1_000 });
    }
  });

  test("by default each node counts messages, handshakes, calls and publications itself, and refuses logins", async () => {
    const server = await ownServer();
    const node = await startThrottlingNode({ prefix: freshPrefix(), url: server.url, limits: tenOf({}) });
    await server.stop();

    const counts = await Promise.all(
      (Object.keys(classes) as Class[]).map(async (name) => [name, allowed(await take(node, name, 30))]),
    );

    expect(Object.fromEntries(counts)).toEqual({ messages: 10, handshakes: 10, http: 10, logins: 0, publications: 10 });
  });

  test("an outage allows no second burst: what was allowed before counts", async () => {
    const server = await ownServer();
    const node = await startThrottlingNode({ prefix: freshPrefix(), url: server.url, limits: tenOf({}) });
    const before = await take(node, "messages", 8);
    await server.stop();

    const during = await take(node, "messages", 30);

    expect(allowed(before) + allowed(during)).toBe(10);
  });

  test("once it is back, Redis counts again within two seconds", timed, async () => {
    const server = await ownServer();
    const limits = tenOf({ whenStoreIsAway: "closed" });
    const node = await startThrottlingNode({ prefix: freshPrefix(), url: server.url, limits });
    await server.stop();
    expect(allowed(await take(node, "messages", 3))).toBe(0);

    const again = await startRedisServer({ port: server.port });
    onTestFinished(() => again.stop());
    const back = performance.now();
    await eventually(async () => expect((await classes.messages(node)).allowed).toBe(true));

    expect(performance.now() - back).toBeLessThan(promised(3_500));
    expect((await classes.logins(node)).allowed).toBe(true);
  });
});

describe("a Redis that hangs", () => {
  test("delays only the operations of one moment; all others are decided immediately", timed, async () => {
    const server = await ownServer();
    const node = await startThrottlingNode({ prefix: freshPrefix(), url: server.url, limits: tenOf({}) });
    server.process.kill("SIGSTOP");
    await Promise.all([classes.messages(node), classes.http(node)]);

    const began = performance.now();
    const results = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => node.throttling.message(`c${n}`, { userId: `u${n}` }, "publish")),
    );

    // A single command would be given up after 2 s.
    expect(performance.now() - began).toBeLessThan(promised(1_500));
    expect(allowed(results)).toBe(200);
    server.process.kill("SIGCONT");
  });

  test("keeps the order of one user's messages", async () => {
    const server = await ownServer();
    const node = await startThrottlingNode({ prefix: freshPrefix(), url: server.url, limits: tenOf({}) });
    server.process.kill("SIGSTOP");
    const order: number[] = [];

    await Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        await node.throttling.message("c", { userId: "u" }, "publish");
        order.push(n);
      }),
    );

    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    server.process.kill("SIGCONT");
  });
});
