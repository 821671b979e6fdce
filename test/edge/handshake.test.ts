import type { Socket } from "socket.io-client";
import { describe, expect, it } from "vitest";
import type { Identity } from "../../src/auth/identity.ts";
import { GatewayError, type ErrorCode } from "../../src/protocol/errors.ts";
import type { AdmitResult } from "../../src/connections/admission.ts";
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

const away = (code: ErrorCode, retryAfterMs: number): GatewayError =>
  new GatewayError(code, undefined, { retryAfterMs });

/** The answer to the first request of a connection. */
async function refusedFirst(edge: AnyEdge, transport: (typeof transports)[number]): Promise<object> {
  if (transport === "polling") {
    const response = await getPolling(edge);
    const retryAfter = response.headers.get("retry-after");
    return { status: response.status, retryAfter, ...((await response.json()) as object) };
  }
  const answer = await rawRequest(edge, upgradeRequest("EIO=4&transport=websocket"));
  const [head = "", body = "{}"] = answer.split("\r\n\r\n");
  return {
    status: statusOf(answer),
    retryAfter: /Retry-After: (\d+)/.exec(head)?.[1],
    ...(JSON.parse(body) as object),
  };
}

const getPolling = ({ url }: AnyEdge, sid = ""): Promise<Response> =>
  fetch(`${url}/socket.io/?EIO=4&transport=polling${sid}`);

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

  it("passes on what the authenticator says", async () => {
    const expired = await startEdge({ authenticate: () => Promise.reject(new GatewayError("token_expired")) });

    expect((await refusalOf(expired.url, {})).data).toEqual({
      code: "token_expired",
      message: "The token has expired.",
    });
  });

  it.each<[AdmitResult, object]>([
    [
      { allowed: false, retryAfterMs: 250 },
      { status: 429, retryAfter: "1", code: "rate_limited", retryAfterMs: 250 },
    ],
    [away("draining", 1_001), { status: 503, retryAfter: "2", code: "draining", retryAfterMs: 1_001 }],
    [away("unavailable", 1_000), { status: 503, retryAfter: "1", code: "unavailable", retryAfterMs: 1_000 }],
  ])(
    "is refused at the transport for a reason that passes (%j), and tries again by itself",
    async (first, expected) => {
      const addresses: string[] = [];
      let isOver = false;
      const edge = await startEdge({
        admit(address) {
          addresses.push(address);
          return isOver ? undefined : Promise.resolve(first);
        },
      });

      expect(await refusedFirst(edge, transport)).toMatchObject(expected);
      const client = stockClient(edge.url, { transports: [transport], reconnection: true, reconnectionDelay: 10 });
      expect(await once<Refusal>(client, "connect_error")).toMatchObject({ type: "TransportError" });
      isOver = true;

      await once(client, "ready");
      expect(new Set(addresses)).toEqual(new Set(["127.0.0.1"]));
    },
  );

  it.each<[string, Error]>([
    ["is closed without an answer for a reason that passes, and tries again by itself", away("unavailable", 1_000)],
    ["is told nothing of what is broken here, and tries again by itself", new Error("redis://secret.host")],
  ])("%s", async (_, error) => {
    const { log, lines } = readableLog();
    let tries = 0;
    const authenticate = (token: unknown) => (++tries === 1 ? Promise.reject(error) : authenticateByList(token));
    const edge = await startEdge({ log, authenticate });
    const client = stockClient(edge.url, { transports: [transport], reconnection: true, reconnectionDelay: 10 });
    const refusals: unknown[] = [];
    client.on("connect_error", (refusal) => refusals.push(refusal));

    await once(client, "ready");

    expect({ tries, refusals }).toEqual({ tries: 2, refusals: [] });
    const isLogged = lines.some(({ place, msg }) => place === "socket.handshake" && msg === "failed");
    expect(isLogged).toBe(!(error instanceof GatewayError));
  });

  it("waits for the refusal of a limit: a flood that tries again when it is told so tries less often", async () => {
    const { url } = await startEdge({ admit: () => ({ allowed: false, retryAfterMs: 1 }) });
    const begun = performance.now();

    await Promise.all(Array.from({ length: 20 }, () => refusalOf(url, {})));

    expect(performance.now() - begun).toBeGreaterThan(190);
  });
});

it.each([
  ["deep", `{"token":${"[".repeat(100)}${"]".repeat(100)}}`],
  ["deeper", `{"token":${"[".repeat(8_000)}${"]".repeat(8_000)}}`],
  ["wide", `{"token":"x","list":[${"1,".repeat(100)}1]}`],
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
    const edge = await startEdge({ connectTimeoutMs: 1_000 });
    const silent = new RawSocket(edge);
    const refused = await new RawSocket(edge).opened();
    refused.send('40{"token":"nonsense"}');
    const polling = await new RawPolling(edge).opened();

    await Promise.all([silent, refused].map((client) => client.until(() => client.closeCode !== undefined)));

    await expect.poll(async () => (await polling.poll()).status).toBe(400);
  });

  it("are sent away too while the authenticator hangs", async () => {
    const { promise, resolve } = deferred<Identity>();
    const edge = await startEdge({ connectTimeoutMs: 500, authenticate: () => promise });
    const client = await new RawSocket(edge).opened();
    client.send(`40{"token":"${goodToken}"}`);

    await client.until(() => client.closeCode !== undefined);
    resolve(await authenticateByList(goodToken));

    await expectNobody(edge);
    expect(client.received).toHaveLength(1);
  });

  it("are bounded in number, on both transports, until one is known or gone", async () => {
    const edge = await startEdge({ maxPending: 2 });
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

  it.each(["&sid=", "&sid=x&sid="])(
    "are counted whatever they write for a session they do not have (%s)",
    async (sid) => {
      const edge = await startEdge({ maxPending: 5 });

      const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await getPolling(edge, sid)).status));

      expect(statuses.filter((status) => status === 200)).toHaveLength(5);
      expect(edge.sockets.io.engine.clientsCount).toBe(5);
    },
  );

  it("of one address leave places to those of others, and an IPv6 network is one address", async () => {
    const edge = await startEdge({ maxPending: 10, maxPendingPerAddress: 3, trustedProxies: ["127.0.0.1"] });
    const ask = (forwardedFor: string): Promise<Response> =>
      fetch(`${edge.url}/socket.io/?EIO=4&transport=polling`, { headers: { "X-Forwarded-For": forwardedFor } });

    const flood = await Promise.all(Array.from({ length: 20 }, () => ask("192.0.2.1")));
    const network = await Promise.all(Array.from({ length: 20 }, (_, number) => ask(`2001:db8::${number}`)));

    expect(flood.filter(({ ok }) => ok)).toHaveLength(3);
    expect(network.filter(({ ok }) => ok)).toHaveLength(3);
    const refused = flood.find(({ ok }) => !ok);
    expect({ status: refused?.status, body: await refused?.json() }).toMatchObject({
      status: 429,
      body: { code: "rate_limited", retryAfterMs: 1_000 },
    });
    expect((await ask("192.0.2.2")).status).toBe(200);
  });

  it("give their place back when they are gone, refused or known", async () => {
    const edge = await startEdge({ maxPending: 1, connectTimeoutMs: 5_000, admit: async () => undefined });

    for (let round = 0; round < 5; round += 1) {
      const gone = await new RawSocket(edge).opened();
      gone.tcp.destroy();
      await expect.poll(() => edge.sockets.io.engine.clientsCount).toBe(round);
      await new RawSocket(edge).entered();
    }
  });

  it.each([
    ["websocket", "a frame"],
    ["polling", "a body"],
  ])("over %s may send %s of 16 kB, and a known client one of the usual size", async (transport) => {
    const edge = await startEdge();
    const text = "x".repeat(50_000);
    const client = await connected(stockClient(edge.url, { transports: [transport] }));
    expect(await client.emitWithAck("echo", { text })).toEqual({ ok: true, text });

    const stranger = stockClient(edge.url, { transports: [transport], auth: { token: goodToken, more: text } });
    const refused = once(stranger, "connect");

    await expect(Promise.race([refused, gone(stranger)])).resolves.toBe("gone");
  });

  it("that are known before they upgrade send as much afterwards", async () => {
    const edge = await startEdge();
    const client = await connected(stockClient(edge.url, { transports: ["polling", "websocket"] }));
    await expect.poll(() => client.io.engine.transport.name).toBe("websocket");
    const text = "x".repeat(50_000);

    expect(await client.emitWithAck("echo", { text })).toEqual({ ok: true, text });
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
    ["20 kB", `40{"token":"${"x".repeat(20_000)}"}`],
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

/** The stock client's transport ended. */
const gone = (client: Socket): Promise<string> =>
  new Promise((resolve) => client.io.once("close", () => resolve("gone")));

const preConnectSockets = ({ sockets }: AnyEdge): number =>
  (sockets.io.sockets as unknown as { _preConnectSockets: Map<string, unknown> })._preConnectSockets.size;

async function expectNobody(edge: AnyEdge): Promise<void> {
  await expect.poll(() => preConnectSockets(edge)).toBe(0);
  expect(edge.sockets.io.sockets.sockets.size).toBe(0);
  expect(edge.sockets.connections.count).toBe(0);
}
