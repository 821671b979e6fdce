import { createHmac } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { startCluster, type Cluster, type ClusterOptions } from "../support/cluster.ts";
import { bound, crowd, enter, isFull, metricOf, type Flooder } from "../support/flooder.ts";
import { connectClient } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const messages = { capacity: 50, refillPerSecond: 20 };
const jwtSecret = "a secret of the tests, longer than thirty-two bytes";

async function startNodes(options: ClusterOptions = {}, limits: object = {}): Promise<Cluster> {
  const cluster = await startCluster({
    nodes: 1,
    ...options,
    env: { JWT_SECRET: jwtSecret },
    file: {
      channels: { chat: { subscribe: "public", publish: "public" } },
      limits: { messages, http: { requests: 1_000_000 }, connectionsPerUser: 1_000, ...limits },
    },
  });
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function entered(url: string, token: string): Promise<Flooder> {
  const flooder = await enter(url, token);
  if (typeof flooder === "string") throw new Error(`not let in: ${flooder}`);
  return flooder;
}

const publication = { channel: "chat:1", event: "flood", data: "x" };
const answered = (flooders: readonly Flooder[], outcome: string): number =>
  flooders.reduce((sum, { answers }) => sum + (answers.get(outcome) ?? 0), 0);

test("ten thousand events on one socket are refused by name, then the socket is closed by name", async () => {
  const cluster = await startNodes();
  const [node] = cluster.nodes;
  const { token } = await cluster.node(0).signIn("flooder");
  const innocent = await connectClient(cluster.node(0).url, (await cluster.node(0).signIn("innocent")).token);
  const flooder = await entered(cluster.node(0).url, token);

  const begun = performance.now();
  for (let sent = 0; sent < 10_000; sent += 1) flooder.send("publish", publication);
  await flooder.settled();
  const ms = performance.now() - begun;
  const answer = await innocent.emitWithAck("publish", publication);

  expect(flooder.closing).toBe("rate_limited");
  expect(flooder.isOpen).toBe(false);
  expect(answered([flooder], "ok")).toBeLessThanOrEqual(bound(messages, ms));
  expect([...flooder.answers.keys()].toSorted()).toEqual(["ok", "rate_limited"]);
  expect(answer).toMatchObject({ ok: true });
  expect(await metricOf(node!.url, "gateway_closings_total", { code: "rate_limited" })).toBe(1);
});

test("who was closed for it is not let in again at once, on the same node, and then is", async () => {
  const once = { capacity: 50, refillPerSecond: 1, closeAfter: { refusals: 1, windowSeconds: 60 } };
  const cluster = await startNodes({}, { messages: once });
  const { url } = cluster.node(0);
  const { token } = await cluster.node(0).signIn("flooder");
  const flooder = await entered(url, token);

  const begun = performance.now();
  // However slow the machine is, more than comes back meanwhile.
  for (let sent = 0; sent < 500; sent += 1) flooder.send("publish", publication);
  await flooder.settled();
  const again = await enter(url, token);
  const tookMs = performance.now() - begun;

  expect(flooder.closing).toBe("rate_limited");
  // On a machine that is busy a moment may be over before anybody is back.
  if (tookMs < 300) expect(again).toBe("closed");
  await eventually(async () => expect(await enter(url, token)).not.toBeTypeOf("string"));
});

test("large messages are bounded in bytes, within the number that is allowed", async () => {
  const bytes = { capacity: 400_000, refillPerSecond: 10_000 };
  const unhindered = { capacity: 10_000, refillPerSecond: 10_000, closeAfter: { refusals: 10_000, windowSeconds: 10 } };
  const { url, signIn } = (await startNodes({}, { messages: unhindered, bytes })).node(0);
  const flooder = await entered(url, (await signIn("flooder")).token);
  const large = { ...publication, data: "x".repeat(40_000) };

  const begun = performance.now();
  for (let sent = 0; sent < 100; sent += 1) flooder.send("publish", large);
  flooder.send("publish", publication);
  await flooder.settled();
  const most = bound(bytes, performance.now() - begun) / 40_000;

  expect([...flooder.answers.keys()].toSorted()).toEqual(["ok", "rate_limited"]);
  expect(answered([flooder], "ok") - 1).toBeLessThanOrEqual(most);
  expect(answered([flooder], "ok")).toBeGreaterThan(8);
  expect(await metricOf(url, "gateway_refusals_total", { limiter: "bytes" })).toBe(answered([flooder], "rate_limited"));
});

test("each refusal is counted once, by its limiter", async () => {
  const cluster = await startNodes(
    {},
    { messages: { capacity: 50, refillPerSecond: 1, closeAfter: { refusals: 100_000, windowSeconds: 10 } } },
  );
  const { url } = cluster.node(0);
  const flooder = await entered(url, (await cluster.node(0).signIn("flooder")).token);

  for (let sent = 0; sent < 200; sent += 1) flooder.send("publish", publication);
  await flooder.settled();

  const refused = answered([flooder], "rate_limited");
  expect(refused).toBeGreaterThan(100);
  expect(await metricOf(url, "gateway_refusals_total", { code: "rate_limited" })).toBe(refused);
  expect(await metricOf(url, "gateway_refusals_total", { code: "rate_limited", limiter: "messages" })).toBe(refused);
  expect(await metricOf(url, "gateway_limited_total", { limiter: "messages", reason: "limit" })).toBe(refused);
});

describe("a user has one limit", () => {
  const patient = { messages: { ...messages, closeAfter: { refusals: 1_000_000, windowSeconds: 10 } } };

  test("over many sockets, on two nodes, that come back all the time", async () => {
    const cluster = await startNodes({ nodes: 2 }, patient);
    const { token } = await cluster.node(0).signIn("evader");
    const flooders: Flooder[] = [];
    const begun = performance.now();

    await crowd(isFull ? 400 : 60, 10, async (index) => {
      const flooder = await entered(cluster.node(index % 2).url, token);
      flooders.push(flooder);
      for (let sent = 0; sent < 50; sent += 1) flooder.send("publish", publication);
      await flooder.settled();
      flooder.close();
    });
    const ms = performance.now() - begun;

    expect(answered(flooders, "ok")).toBeLessThanOrEqual(bound(messages, ms));
    expect(answered(flooders, "ok")).toBeGreaterThanOrEqual(messages.capacity * 0.9);
  });

  test("over sessions of its own, and over transports", async () => {
    const cluster = await startNodes({ nodes: 2 }, patient);
    const begun = performance.now();

    const counts = await crowd(8, 8, async (index) => {
      const { token } = await cluster.node(0).signIn("evader");
      const transports = [index % 2 === 0 ? "polling" : "websocket"] as ["polling"];
      const client = await connectClient(cluster.node(index % 2).url, token, { transports });
      const sent = Array.from({ length: 40 }, () => client.timeout(20_000).emitWithAck("publish", publication));
      const answers = (await Promise.all(sent)) as { ok: boolean }[];
      return answers.filter(({ ok }) => ok).length;
    });

    const ms = performance.now() - begun;
    expect(counts.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(bound(messages, ms));
  });

  test("and cannot come as another by the letters of its name", async () => {
    const cluster = await startNodes({}, patient);
    const { token, sessionId } = await cluster.node(0).signIn("evader");
    const [, body = ""] = token.split(".");
    const claims = JSON.parse(Buffer.from(body, "base64url").toString()) as object;

    for (const sub of ["Evader", "EVADER", "evader ", "еvader"]) {
      expect(await enter(cluster.node(0).url, forged({ ...claims, sub, sid: sessionId }))).toBe("unauthorized");
    }
  });

  test("of which spaces and other words in a message buy nothing", async () => {
    const cluster = await startNodes({}, patient);
    const flooder = await entered(cluster.node(0).url, (await cluster.node(0).signIn("evader")).token);
    const begun = performance.now();

    for (let sent = 0; sent < 300; sent += 1) {
      flooder.send(["publish", "Publish", " publish", "publish\u0000"][sent % 4]!, publication);
      flooder.send("publish", { ...publication, nonsense: sent });
    }
    flooder.send("publish", publication);
    await flooder.settled();

    // What is wrong is answered as such, and counts all the same.
    expect(answered([flooder], "bad_request") + answered([flooder], "unknown_event")).toBeGreaterThan(400);
    expect(answered([flooder], "ok")).toBeLessThanOrEqual(bound(messages, performance.now() - begun));
  });
});

function forged(claims: object): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", jwtSecret).update(signed).digest("base64url")}`;
}
