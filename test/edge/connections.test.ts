import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { closing } from "../../src/protocol/closings.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { clientHandler } from "../../src/connections/client-handler.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { z } from "zod";
import {
  authenticateByList,
  connected,
  deferred,
  echoHandlers,
  goodToken,
  once,
  readableLog,
  startEdge,
  stockClient,
  type Edge,
} from "../support/edge.ts";
import { frame, RawPolling, RawSocket, upgradeRequest } from "../support/hostile.ts";

const transports = ["websocket", "polling"] as const;

const only = (edge: Edge): Connection => {
  const [connection] = edge.sockets.connections.all();
  if (connection === undefined) throw new Error("nobody is connected");
  return connection;
};

const count = async (edge: Edge, name: "closings" | "connections" | "handshakes", labels: object): Promise<number> => {
  const { values } = await edge.metrics[name].get();
  return values.find((value) => expect.objectContaining(labels).asymmetricMatch(value.labels))?.value ?? 0;
};

describe.each(transports)("a connection over %s", (transport) => {
  it("that is closed for good hears why, and stays away", async () => {
    const edge = await startEdge();
    const client = await connected(
      stockClient(edge.url, { transports: [transport], reconnection: true, reconnectionDelay: 10 }),
    );
    const said = once(client, "closing");
    const reason = once<string>(client, "disconnect");

    only(edge).close(closing("token_revoked"));
    expect(edge.sockets.connections.count).toBe(0);

    expect(await said).toEqual({ code: "token_revoked", message: "The token was revoked.", reconnect: false });
    expect(await reason).toBe("io server disconnect");
    expect(client.active).toBe(false);
  });

  it("that may come back hears why, and a stock client comes back by itself", async () => {
    const edge = await startEdge();
    const client = stockClient(edge.url, { transports: [transport], reconnection: true, reconnectionDelay: 10 });
    await once(client, "ready");
    const said = once(client, "closing");
    let visits = 0;
    client.on("ready", () => (visits += 1));

    only(edge).close(closing("drain"));

    expect(await said).toMatchObject({ code: "drain", reconnect: true });
    await expect.poll(() => visits).toBeGreaterThan(0);
    await expect.poll(() => edge.sockets.connections.count).toBe(1);
    expect(client.connected).toBe(true);
  });
});

it("closes once, however often it is asked, and takes and sends nothing more", async () => {
  const gone: string[] = [];
  const edge = await startEdge({ onDisconnect: (_, reason) => void gone.push(reason) });
  const client = await new RawSocket(edge).entered();
  const connection = only(edge);

  connection.close(closing("session_revoked"));
  connection.close(closing("drain"));
  connection.emit("late", {});
  await client.until(() => client.closeCode !== undefined);

  expect(client.received.slice(-2)).toEqual([
    '42["closing",{"code":"session_revoked","message":"The session was revoked.","reconnect":false}]',
    "41",
  ]);
  expect(connection.isOpen).toBe(false);
  expect(await count(edge, "closings", { code: "session_revoked" })).toBe(1);
  expect(await count(edge, "closings", { code: "drain" })).toBe(0);
  await expect.poll(() => gone).toEqual(["session_revoked"]);
});

describe("a client that is told to go and does not", () => {
  it("is cut off where it never answers the close", async () => {
    const edge = await startEdge({ closeTimeoutMs: 100 });
    const socket = connect(edge.port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    let received = "";
    let isCut = false;
    socket.on("data", (data) => (received += data.toString("latin1"))).on("close", () => (isCut = true));
    socket.write(upgradeRequest("EIO=4&transport=websocket"));
    await expect.poll(() => received).toContain("pingInterval");
    socket.write(frame(0x81, `40{"token":"${goodToken}"}`));
    await expect.poll(() => received).toContain("ready");

    only(edge).close(closing("token_expired"));

    await expect.poll(() => received).toContain("token_expired");
    await expect.poll(() => isCut, { timeout: 30_000 }).toBe(true);
  });

  it("is cut off where it does not read", async () => {
    const edge = await startEdge({ closeTimeoutMs: 100 });
    const client = await new RawSocket(edge).entered();
    client.pause();
    const connection = only(edge);
    for (let packet = 0; packet < 300; packet += 1) connection.emit("bulk", "x".repeat(60_000));

    connection.close(closing("slow_consumer"));

    expect(edge.sockets.connections.count).toBe(0);
    await expect.poll(() => edge.sockets.io.engine.clientsCount, { timeout: 30_000 }).toBe(0);
    await expect.poll(() => openTcp(edge), { timeout: 30_000 }).toBe(0);
  });

  it("is cut off where it does not poll", async () => {
    const edge = await startEdge({ closeTimeoutMs: 100 });
    await new RawPolling(edge).entered();

    only(edge).close(closing("session_expired"));

    await expect.poll(() => edge.sockets.io.engine.clientsCount, { timeout: 30_000 }).toBe(0);
  });
});

const openTcp = ({ httpServer }: Edge): Promise<number> =>
  new Promise((resolve) => httpServer.getConnections((_, open) => resolve(open)));

it("ends a transport whose client leaves the namespace", async () => {
  const gone: string[] = [];
  const edge = await startEdge({ onDisconnect: (_, reason) => void gone.push(reason) });
  const client = await new RawSocket(edge).entered();

  client.send("41");

  await client.until(() => client.closeCode !== undefined);
  await expect.poll(() => gone).toEqual(["client namespace disconnect"]);
});

it("finds connections by user, session and token, also after a new token", async () => {
  const edge = await startEdge();
  const { connections } = edge.sockets;
  for (const token of ["ann:s1:t1", "ann:s1:t2", "ann:s2:t3", "bob:s3:t4"])
    await new RawSocket(edge).entered({ token });
  const [first] = connections.ofToken("t1");
  const tokensOf = (found: readonly Connection[]): string[] => found.map(({ identity }) => identity.tokenId).toSorted();

  expect(tokensOf(connections.ofUser("ann"))).toEqual(["t1", "t2", "t3"]);
  expect(tokensOf(connections.ofSession("s1"))).toEqual(["t1", "t2"]);
  first!.identity = await authenticateByList("ann:s1:t9");
  expect(connections.ofToken("t1")).toEqual([]);
  expect(connections.ofToken("t9")).toEqual([first]);
  first!.close(closing("token_revoked"));
  expect(connections.ofToken("t9")).toEqual([]);
  expect(tokensOf(connections.ofSession("s1"))).toEqual(["t2"]);
  expect(connections.count).toBe(3);
  expect(connections.get(connections.ofUser("bob")[0]!.id)?.identity.userId).toBe("bob");
});

it("keeps no token once a client is in", async () => {
  const edge = await startEdge();
  await new RawSocket(edge, undefined, { Authorization: "Bearer secret", Cookie: "secret" }).entered({
    token: "ann:secret:secret",
  });

  const [socket] = await edge.sockets.io.fetchSockets();

  expect(JSON.stringify(socket!.handshake)).not.toContain("secret");
  expect((socket as unknown as { request: unknown }).request).toBeNull();
});

it("reaches rooms that are named as channels", async () => {
  const edge = await startEdge({ onConnect: (connection) => connection.join("news:sport") });
  const client = await connected(stockClient(edge.url));
  const heard = once(client, "score");

  edge.sockets.io.to("news:sport").emit("score", { home: 1 });

  expect(await heard).toEqual({ home: 1 });
  only(edge).leave("news:sport");
  expect(edge.sockets.io.sockets.adapter.rooms.has("news:sport")).toBe(false);
});

it("says ready when the welcome is done, and handles messages before", async () => {
  const { promise, resolve } = deferred();
  const edge = await startEdge({ onConnect: () => promise });
  const client = await new RawSocket(edge).opened();
  client.send(`40{"token":"${goodToken}"}`);
  await client.until(() => client.received.length === 2);

  client.send('421["echo",{"text":"early"}]');
  await client.until(() => client.received.includes('431[{"ok":true,"text":"early"}]'));
  resolve();

  await client.until(() => client.received.length === 4);
  expect(client.received[3]).toMatch(/^42\["ready",\{"nodeId":"edge",.*"recovered":false,"serverTime":\d+\}\]$/);
});

it("is told in one write that it has connected and is ready, if that takes a few turns only", async () => {
  const edge = await startEdge({ onConnect: () => new Promise<void>((resolve) => setTimeout(resolve, 5)) });
  const client = await new RawSocket(edge).opened();
  const pieces: string[] = [];
  client.tcp.on("data", (chunk) => pieces.push(chunk.toString("latin1")));

  await client.entered();

  expect(pieces).toEqual([expect.stringMatching(/40\{"sid":.*42\["ready",/)]);
});

it("closes a client whose welcome fails by a name of its own, logs it, and says goodbye to it", async () => {
  const gone: string[] = [];
  const { log, lines } = readableLog();
  const edge = await startEdge({
    log,
    onConnect: () => Promise.reject(new Error("a secret of the house")),
    onDisconnect: (_, reason) => void gone.push(reason),
  });
  const client = await new RawSocket(edge).opened();

  client.send(`40{"token":"${goodToken}"}`);

  expect(await client.outcome(0)).toMatchObject({
    closing: "internal",
    message: expect.not.stringContaining("secret") as unknown,
  });
  expect(client.received.some((packet) => packet.includes("ready"))).toBe(false);
  await expect.poll(() => gone).toEqual(["internal"]);
  expect(lines).toContainEqual(expect.objectContaining({ place: "socket.connect" }));
});

it.each(transports)(
  "cuts off a client over %s whose welcome fails for want of the store, which comes back",
  async (transport) => {
    let welcomes = 0;
    const away = new GatewayError("unavailable", undefined, { retryAfterMs: 1_000 });
    const edge = await startEdge({ onConnect: () => (++welcomes === 1 ? Promise.reject(away) : undefined) });
    const client = stockClient(edge.url, { transports: [transport], reconnection: true, reconnectionDelay: 10 });
    const closings: unknown[] = [];
    client.on("closing", (closing) => closings.push(closing));

    await once(client, "ready");

    expect({ welcomes, closings }).toEqual({ welcomes: 2, closings: [] });
  },
);

it("begins a new session for a client whose record cannot be read, and logs why", async () => {
  const { log, lines } = readableLog();
  const recovery = {
    windowMs: 60_000,
    find: async (): Promise<undefined> => {
      throw new SyntaxError("the record is no JSON");
    },
    restore: async () => "unused",
    abandon: () => undefined,
    roomsChanged: () => undefined,
    socketStateOf: () => "",
  };
  const edge = await startEdge({ log, recovery });
  const client = stockClient(edge.url, {
    auth: { token: goodToken, pid: "past", offset: "1" },
    transports: ["websocket"],
  });

  const ready = await once<{ recovered: boolean }>(client, "ready");

  expect(ready.recovered).toBe(false);
  expect(client.recovered).toBe(false);
  expect(lines).toContainEqual(expect.objectContaining({ place: "socket.return" }));
});

it("cuts off a client whose own channel a backend takes away while it connects, which is no failure, and it comes back", async () => {
  const { log, lines } = readableLog();
  let welcomes = 0;
  const taken = new GatewayError("forbidden");
  const edge = await startEdge({ log, onConnect: () => (++welcomes === 1 ? Promise.reject(taken) : undefined) });
  const client = stockClient(edge.url, { transports: ["websocket"], reconnection: true, reconnectionDelay: 10 });
  const closings: unknown[] = [];
  client.on("closing", (closing) => closings.push(closing));

  await once(client, "ready");

  expect({ welcomes, closings }).toEqual({ welcomes: 2, closings: [] });
  expect(lines).not.toContainEqual(expect.objectContaining({ place: "socket.connect" }));
});

it("says goodbye once, after the welcome and every handler have ended", async () => {
  const events: string[] = [];
  const welcome = deferred();
  const work = deferred();
  const edge = await startEdge({
    async onConnect() {
      await welcome.promise;
      events.push("welcomed");
    },
    onDisconnect: () => void events.push("gone"),
    handlers: [
      ...echoHandlers,
      clientHandler("work", z.strictObject({}), async () => {
        await work.promise;
        events.push("worked");
        return {};
      }),
    ],
  });
  const client = await new RawSocket(edge).opened();
  client.send(`40{"token":"${goodToken}"}`);
  await client.until(() => client.received.length === 2);
  client.send('421["work",{}]', '422["echo",{"text":"x"}]');
  await client.until(() => client.received.length === 3);

  client.tcp.destroy();
  await expect.poll(() => edge.sockets.connections.count).toBe(0);
  work.resolve();
  await edge.sockets.idle();
  welcome.resolve();

  await expect.poll(() => events).toEqual(["worked", "welcomed", "gone"]);
});

it("counts connections by transport, also when they change it", async () => {
  const edge = await startEdge();
  const client = await connected(stockClient(edge.url, { transports: ["polling", "websocket"] }));
  await expect.poll(() => client.io.engine.transport.name).toBe("websocket");
  await new RawPolling(edge).entered();

  await expect.poll(() => count(edge, "connections", { transport: "websocket" })).toBe(1);
  expect(await count(edge, "connections", { transport: "polling" })).toBe(1);
  expect(await count(edge, "handshakes", { outcome: "accepted" })).toBe(2);

  client.disconnect();
  await expect.poll(() => count(edge, "connections", { transport: "websocket" })).toBe(0);
});

it("disconnects everybody when it closes, and leaves the HTTP server alone", async () => {
  const gone: string[] = [];
  const edge = await startEdge({ onDisconnect: (_, reason) => void gone.push(reason) });
  const clients = [await new RawSocket(edge).entered(), await new RawSocket(edge).opened()];
  await new RawPolling(edge).entered();

  await edge.sockets.close();

  expect(gone).toEqual(["server shutting down", "server shutting down"]);
  await Promise.all(clients.map((client) => client.until(() => client.closeCode !== undefined)));
  expect((await fetch(edge.url)).status).toBe(404);
});
