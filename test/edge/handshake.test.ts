import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/auth/identity.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import {
  authenticateByList,
  connected,
  deferred,
  goodToken,
  once,
  readableLog,
  startEdge,
  stockClient,
  type Refusal,
} from "../support/edge.ts";
import { RawPolling, RawSocket, rawRequest, statusOf, upgradeRequest } from "../support/hostile.ts";

const transports = ["websocket", "polling"] as const;

describe.each(transports)("a handshake over %s", (transport) => {
  const refusalOf = (url: string, options: object): Promise<Refusal> =>
    once<Refusal>(stockClient(url, { transports: [transport], ...options }), "connect_error");

  it("is let in by a token in the header", async () => {
    const { url, sockets } = await startEdge();

    await connected(
      stockClient(url, { transports: [transport], auth: {}, extraHeaders: { Authorization: `Bearer ${goodToken}` } }),
    );

    expect(sockets.connections.ofUser("ann")).toHaveLength(1);
  });

  it.each([
    ["no token", {}],
    ["a wrong token", { token: "nonsense" }],
    ["a token that is a number", { token: 7 }],
    ["a token that is an object", { token: { toString: "x" } }],
  ])("with %s is refused by name", async (_, auth) => {
    const { url, sockets } = await startEdge();

    const refusal = await refusalOf(url, { auth });

    expect(refusal.message).toBe("unauthorized");
    expect(refusal.data).toEqual({ code: "unauthorized", message: expect.any(String) });
    expect(sockets.connections.count).toBe(0);
  });

  it("with a token in the query is refused, even beside a good one, and the token is written nowhere", async () => {
    const { log, text } = readableLog();
    const { url, metrics } = await startEdge({ log });

    const refusal = await refusalOf(url, { query: { token: "ann:secret-session:secret" }, auth: { token: goodToken } });

    expect(refusal.message).toBe("unauthorized");
    expect(refusal.data?.message).toContain("query");
    expect(text()).not.toContain("secret");
    expect(await metrics.registry.metrics()).not.toContain("secret");
  });

  it("passes on what the authenticator and the limiter of addresses say", async () => {
    const addresses: string[] = [];
    const expired = await startEdge({ authenticate: () => Promise.reject(new GatewayError("token_expired")) });
    const limited = await startEdge({
      admit(address) {
        addresses.push(address);
        return { allowed: false, retryAfterMs: 250 };
      },
    });
    const draining = await startEdge({ admit: () => new GatewayError("draining", undefined, { retryAfterMs: 1_000 }) });

    expect((await refusalOf(expired.url, {})).data).toEqual({
      code: "token_expired",
      message: "The token has expired.",
    });
    expect((await refusalOf(limited.url, {})).data).toMatchObject({ code: "rate_limited", retryAfterMs: 250 });
    expect((await refusalOf(draining.url, {})).data).toMatchObject({ code: "draining", retryAfterMs: 1_000 });
    expect(addresses).toEqual(["127.0.0.1"]);
  });

  it("waits for the refusal of a limit: a flood that tries again when it is told so tries less often", async () => {
    const { url } = await startEdge({ admit: () => ({ allowed: false, retryAfterMs: 1 }) });
    const begun = performance.now();

    await Promise.all(Array.from({ length: 20 }, () => refusalOf(url, {})));

    expect(performance.now() - begun).toBeGreaterThan(190);
  });

  it("is told to come back where something is broken here, and no more than that", async () => {
    const { log, lines } = readableLog();
    const { url } = await startEdge({ log, authenticate: () => Promise.reject(new Error("redis://secret.host")) });

    const refusal = await refusalOf(url, {});

    expect(refusal.data).toEqual({
      code: "unavailable",
      message: expect.any(String),
      retryAfterMs: expect.any(Number),
    });
    expect(JSON.stringify(refusal.data)).not.toContain("secret");
    expect(lines).toContainEqual(expect.objectContaining({ place: "socket.handshake", msg: "failed" }));
  });
});

it.each([
  ["deep", `{"token":${"[".repeat(100)}${"]".repeat(100)}}`],
  ["deeper", `{"token":${"[".repeat(8_000)}${"]".repeat(8_000)}}`],
  ["wide", `{"token":"x","list":[${"1,".repeat(100)}1]}`],
  ["large", `{"token":"${"x".repeat(20_000)}"}`],
  ["polluting", '{"token":"x","__proto__":{"polluted":1}}'],
  ["a list", '["token"]'],
  ["a string", '"token"'],
  ["not JSON", '{"token":'],
])("an auth that is %s is refused before anybody looks at the token", async (_, auth) => {
  let asked = 0;
  const edge = await startEdge({ authenticate: () => (asked++, authenticateByList(goodToken)) });
  const client = await new RawSocket(edge).opened();

  client.send(`40${auth}`);

  expect(await client.outcome(0)).toMatchObject({ connectError: "unauthorized" });
  expect(asked).toBe(0);
});

it("hands on the user agent, and the address that a trusted proxy reports", async () => {
  const seen: unknown[] = [];
  const edge = await startEdge({
    trustedProxies: ["127.0.0.1"],
    authenticate(token, client) {
      seen.push(client.userAgent);
      return authenticateByList(token);
    },
    onConnect: (connection) => void seen.push(connection.address, connection.userAgent),
  });

  const headers = { "User-Agent": `odd/1.0 ${"x".repeat(500)}`, "X-Forwarded-For": "203.0.113.9, 198.51.100.7" };
  await new RawSocket(edge, undefined, headers).entered();

  const userAgent = headers["User-Agent"].slice(0, 256);
  expect(seen).toEqual([userAgent, "198.51.100.7", userAgent]);
});

describe("strangers", () => {
  it("are sent away after the time they have", async () => {
    const edge = await startEdge({ connectTimeoutMs: 150 });
    const silent = new RawSocket(edge);
    const refused = await new RawSocket(edge).opened();
    refused.send('40{"token":"nonsense"}');
    const polling = await new RawPolling(edge).opened();

    await Promise.all([silent, refused].map((client) => client.until(() => client.closeCode !== undefined)));

    await expect.poll(async () => (await polling.poll()).status).toBe(400);
  });

  it("are sent away too while the authenticator hangs", async () => {
    const { promise, resolve } = deferred<Identity>();
    const edge = await startEdge({ connectTimeoutMs: 100, authenticate: () => promise });
    const client = await new RawSocket(edge).opened();
    client.send(`40{"token":"${goodToken}"}`);

    await client.until(() => client.closeCode !== undefined);
    resolve(await authenticateByList(goodToken));

    await expectNobody(edge);
    expect(client.received).toHaveLength(1);
  });

  it("are bounded in number, on both transports, until one is known or gone", async () => {
    const edge = await startEdge({ maxStrangers: 2 });
    const first = await new RawSocket(edge).opened();
    await new RawPolling(edge).opened();

    const refused = await fetch(`${edge.url}/socket.io/?EIO=4&transport=polling`);
    const upgrade = await rawRequest(edge, upgradeRequest("EIO=4&transport=websocket"));

    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(await refused.json()).toMatchObject({ code: "unavailable" });
    expect(statusOf(upgrade)).toBe(503);
    await first.entered();
    await new RawSocket(edge).entered();
  });

  it("may try another token on the same connection, a few times", async () => {
    const edge = await startEdge();
    const client = await new RawSocket(edge).opened();
    for (let attempt = 1; attempt <= 7; attempt += 1) {
      client.send('40{"token":"nonsense"}');
      await client.until(() => client.received.length === 1 + attempt);
    }

    await client.entered();

    const guesser = await new RawSocket(edge).opened();
    for (let attempt = 1; attempt <= 8; attempt += 1) {
      guesser.send('40{"token":"nonsense"}');
      await guesser.until(() => guesser.received.length === 1 + attempt);
    }
    guesser.send(`40{"token":"${goodToken}"}`);
    await guesser.until(() => guesser.closeCode !== undefined);
    expect(edge.sockets.connections.count).toBe(1);
  });

  it("cannot put two sockets on one connection", async () => {
    let asked = 0;
    const { promise, resolve } = deferred<Identity>();
    const edge = await startEdge({ authenticate: () => (asked++, promise) });
    const client = await new RawSocket(edge).opened();

    client.send(`40{"token":"${goodToken}"}`, `40{"token":"${goodToken}"}`);
    await client.until(() => client.closeCode !== undefined);
    resolve(await authenticateByList(goodToken));

    await expectNobody(edge);
    expect(asked).toBe(1);
  });

  it.each([
    ["an event", '421["echo",{"text":"x"}]'],
    ["a goodbye", "41"],
    ["an unknown packet", "49"],
    ["an empty message", "4"],
    ["a ping", "2"],
    ["nothing of the protocol", "hello"],
    ["an acknowledgement", "431[]"],
    ["the head of a binary event", "451-[]"],
    ["bytes", Buffer.from("bytes")],
    ["deep arrays", `421${"[".repeat(30_000)}`],
    ["two megabytes", `40{"token":"${"x".repeat(2_000_000)}"}`],
  ])("that begin with %s are cut off", async (_, packet) => {
    const edge = await startEdge();
    const client = await new RawSocket(edge).opened();

    client.send(packet);
    await client.until(() => client.closeCode !== undefined);

    await expect.poll(() => edge.sockets.io.engine.clientsCount).toBe(0);
    await expectNobody(edge);
  });

  it("cannot come in twice", async () => {
    const edge = await startEdge();
    const client = await new RawSocket(edge).entered();

    client.send(`40{"token":"${goodToken}"}`);
    await client.until(() => client.closeCode !== undefined);

    await expectNobody(edge);
    expect(client.isOpen).toBe(false);
  });

  it("that leave while they are looked at leave nothing behind", async () => {
    const { promise, resolve } = deferred<Identity>();
    let welcomes = 0;
    const edge = await startEdge({ authenticate: () => promise, onConnect: () => void welcomes++ });
    const clients = await Promise.all(Array.from({ length: 20 }, () => new RawSocket(edge).opened()));
    for (const client of clients) client.send(`40{"token":"${goodToken}"}`);
    await expect.poll(() => preConnectSockets(edge)).toBe(20);

    for (const client of clients) client.tcp.destroy();
    await expect.poll(() => edge.sockets.io.engine.clientsCount).toBe(0);
    resolve(await authenticateByList(goodToken));

    await expectNobody(edge);
    expect(welcomes).toBe(0);
  });
});

type AnyEdge = Awaited<ReturnType<typeof startEdge>>;

const preConnectSockets = ({ sockets }: AnyEdge): number =>
  (sockets.io.sockets as unknown as { _preConnectSockets: Map<string, unknown> })._preConnectSockets.size;

async function expectNobody(edge: AnyEdge): Promise<void> {
  await expect.poll(() => preConnectSockets(edge)).toBe(0);
  expect(edge.sockets.io.sockets.sockets.size).toBe(0);
  expect(edge.sockets.connections.count).toBe(0);
}
