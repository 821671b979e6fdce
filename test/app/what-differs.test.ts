import { Adapter } from "socket.io-adapter";
import { expect, inject, onTestFinished, test } from "vitest";
import type { GatewayError } from "../../src/protocol/errors.ts";
import { connectClient } from "../support/gateway.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually, quietLog } from "../support/world.ts";
import { embed, join, listening } from "./support.ts";

/** A log whose warnings and errors are kept. */
function keptLog() {
  const lines: Record<string, unknown>[] = [];
  const keep = (fields: object, message?: string): void => {
    // What a node says of its Redis when it starts.
    if (!("server" in fields)) lines.push({ message, ...fields });
  };
  return { lines, log: { ...quietLog, warn: keep, error: keep } };
}

test("what would set up another server behind gateway.io throws, and says what to call instead", async () => {
  const { io, url } = await listening();
  const expected: [() => unknown, string][] = [
    [() => io.listen(0), "gateway.listen"],
    [() => io.attach(0), "createGateway({ server })"],
    [() => io.attachApp({}), "createGateway({ server })"],
    [() => io.bind({}), "gateway.io.engine"],
    [() => io.adapter(Adapter), "remove the call"],
    [() => io.path("/ws/"), "/socket.io/"],
    [() => io.serveClient(false), "always serves"],
    [() => io.connectTimeout(1), "five seconds"],
    [() => Object.assign(io.engine, { generateId: () => "1" }), "ids of connections"],
  ];

  for (const [call, reason] of expected) expect(call).toThrow(reason);

  expect([io.path(), typeof io.adapter()]).toEqual(["/socket.io", "function"]);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

test("io.close closes the gateway: its clients are told to reconnect, and it accepts no others", async () => {
  const gateway = await listening();
  const ann = await join(gateway, "ann");
  const { url } = gateway;
  let called = 0;

  await gateway.io.close(() => (called += 1));

  expect(called).toBe(1);
  expect(ann.events.map(([name]) => name)).toContain("drain");
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
});

test("socket.data.user may be replaced in every namespace, and stays so when the client renews its token", async () => {
  const gateway = await listening(({ io }) => {
    for (const name of ["/", "/admin", "/plain"])
      io.of(name).on("connection", (socket) =>
        socket.on("who", (done: (user: unknown) => void) => done(socket.data.user)),
      );
    for (const name of ["/", "/admin"])
      io.of(name).use((socket, next) => {
        socket.data.user = { id: 7, was: socket.data.user.userId };
        next();
      });
  });
  const { sessionId, token } = await gateway.sessions.create({ userId: "ann" });
  const ann = await connectClient(gateway.url, token ?? "");
  const [admin, plain] = [ann.io.socket("/admin"), ann.io.socket("/plain")];
  const who = async (): Promise<unknown[]> =>
    Promise.all([ann, admin, plain].map((socket) => socket.emitWithAck("who")));
  const replaced = { id: 7, was: "ann" };
  expect(await who()).toEqual([replaced, replaced, { userId: "ann", sessionId, roles: [] }]);

  await gateway.sessions.update(sessionId, { roles: ["staff"] });

  await eventually(async () => expect((await who())[2]).toMatchObject({ roles: ["staff"] }));
  expect((await who()).slice(0, 2)).toEqual([replaced, replaced]);
});

test("a listener for an event that is built in is named in the log when a client sends it", async () => {
  const { lines, log } = keptLog();
  const gateway = await embed({ log });
  gateway.io.on("connection", (socket) => {
    socket.onAny(() => undefined);
    socket.on("subscribe", () => expect.unreachable());
  });
  await gateway.listen(0, "127.0.0.1");
  const ann = await join(gateway, "ann");

  for (const channel of ["chat:1", "chat:2"]) await ann.emitWithAck("subscribe", { channel });
  await ann.emitWithAck("history", { channel: "chat:1" });

  expect(lines).toEqual([
    { message: "a listener of the app is never called: the event is built in", event: "subscribe" },
  ]);
});

test("an event that is refused by a limit is named in the log, with the limit, once for many", async () => {
  const { lines, log } = keptLog();
  const limits = { messages: { capacity: 5, refillPerSecond: 0.001 }, payloadBytes: 4_096 };
  const gateway = await embed({ log, config: { limits } });
  gateway.on("draw", () => 1);
  await gateway.listen(0, "127.0.0.1");
  const ann = await join(gateway, "ann");

  await ann.emitWithAck("draw", "x".repeat(5_000));
  for (let count = 0; count < 9; count += 1) await ann.emitWithAck("draw", 1);

  expect(lines).toEqual([
    {
      message: "an event was too large",
      userId: "ann",
      detail: "The payload is larger than 4096 bytes.",
    },
    { message: "a limit refused an event", event: "draw", userId: "ann", limit: "messages" },
  ]);
});

test("joining a channel that does not exist fails, for an app that awaits it; the connection and its other rooms stay", async () => {
  const { lines, log } = keptLog();
  const gateway = await embed({ log, channels: { chat: { deliver: "event" } } });
  gateway.io.on("connection", (socket) => {
    void socket.join("order:7");
    socket.on("follow", async (room: string[], done: (answer: unknown) => void) =>
      done(await Promise.resolve(socket.join(room)).catch(({ code }: GatewayError) => [code, ...socket.rooms])),
    );
  });
  await gateway.listen(0, "127.0.0.1");
  const ann = await join(gateway, "ann");

  const answer = await ann.emitWithAck("follow", ["order:8", "chat:1", "cellar"]);

  expect(answer).toEqual(["forbidden", ann.id, "user:ann", "chat:1", "cellar"]);
  const heard = new Promise((resolve) => ann.once("said", resolve));
  gateway.io.to("chat:1").emit("said", "Hi.");
  expect(await heard).toBe("Hi.");
  expect(ann.events.filter(([event]) => event === "closing")).toEqual([]);
  expect(lines[0]).toMatchObject({ place: "room.join", channel: "order:7", err: { code: "forbidden" } });
});

test("a client of another parser is disconnected, and the log says why", async () => {
  const { lines, log } = keptLog();
  const gateway = await embed({ log });
  await gateway.listen(0, "127.0.0.1");
  const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  const closed = new Promise((resolve) => socket.addEventListener("close", resolve, { once: true }));

  // A handshake in MessagePack: `{ type: 0, nsp: "/" }`.
  socket.addEventListener("open", () => socket.send(Buffer.from("82a47479706500a36e7370a12f", "hex")));

  await closed;
  expect(lines).toEqual([{ message: "a client uses another parser than Socket.IO's own, which is not supported" }]);
});

test("an event that several arguments make a list for the listeners of a channel is named in the log", async () => {
  const { lines, log } = keptLog();
  const gateway = await embed({ log, channels: { game: { deliver: "event" }, chat: {} } });
  gateway.io.on("connection", (socket) => socket.on("play", () => socket.join(["game:1", "chat:1"])));
  await gateway.listen(0, "127.0.0.1");
  const ann = await join(gateway, "ann");
  ann.emit("play");
  await eventually(async () => expect((await gateway.io.in("game:1").fetchSockets()).length).toBe(1));

  gateway.io.to("game:1").emit("moved", "e4");
  gateway.io.to("chat:1").emit("moved", "ann", "e4");
  gateway.io.to("game:1").emit("moved", "ann", "e4");

  await eventually(() => expect(ann.events.filter(([name]) => name === "moved")).toHaveLength(2));
  expect(ann.events.findLast(([name]) => name === "moved")?.[1]).toEqual(["ann", "e4"]);
  expect(lines).toEqual([
    {
      message: "clients receive the arguments of an app's event as one list, because it is a publication",
      channel: "game:1",
      event: "moved",
    },
  ]);
});

test("an event to a channel that is lost because Redis is away is named in the log", async () => {
  const { lines, log } = keptLog();
  const { hostname, port } = new URL(inject("redisUrl"));
  const line = await startTcpProxy({ targets: () => [{ host: hostname, port: Number(port) }] });
  onTestFinished(() => line.stop());
  const gateway = await embed({ log, redis: `redis://127.0.0.1:${line.port}` });
  await gateway.listen(0, "127.0.0.1");

  line.cut();
  gateway.io.to("chat:1").emit("said", 1);

  const lost = () => lines.filter(({ place }) => place === "app.publish");
  await eventually(() => expect(lost()).toMatchObject([{ channel: "chat:1", event: "said" }]), 10_000);
  await line.heal();
});
