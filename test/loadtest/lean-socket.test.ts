import { createServer, type Server as HttpServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Server, type ServerOptions, type Socket } from "socket.io";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocketServer } from "ws";
import { createStockSocket } from "../../src/loadtest/clients/create-reader.ts";
import { LeanSocket } from "../../src/loadtest/clients/lean-socket.ts";
import { createParser } from "../../src/loadtest/clients/parse-once.ts";
import { Dialer } from "../../src/loadtest/clients/dialer.ts";
import type { Auth, ClientSocket } from "../../src/loadtest/clients/socket.ts";
import { within } from "../support/promised.ts";
import { freePort } from "../support/redis-server.ts";
import { eventually } from "../support/world.ts";

/** A stock server, and how to get a client of either kind to it. */
interface World {
  io: Server;
  line: Dialer;
  /** Connected, with everything it was told. */
  connect(auth?: Auth): Promise<Told>;
}

interface Told {
  socket: ClientSocket;
  events: unknown[][];
}

const watched = ["connect", "disconnect", "connect_error", "said", "bytes"];

/** Fast enough for a test, and as random as Socket.IO's. */
const early = () => 0;

describe.each(["lean", "stock"] as const)("a %s client", (kind) => {
  async function world(options: Partial<ServerOptions> = {}, ownPort = 0): Promise<World> {
    const { io, port } = await stockServer(options, ownPort);
    const line = new Dialer([new URL(`http://127.0.0.1:${port}`)], 0);
    const path = "/socket.io/";
    return {
      io,
      line,
      async connect(auth = (give) => give({ token: "t" })) {
        const socket =
          kind === "lean"
            ? new LeanSocket({ dialer: line, path, auth, random: early, parse: createParser() })
            : createStockSocket(line, path, auth);
        onTestFinished(() => void socket.disconnect());
        const events: unknown[][] = [];
        for (const event of watched) socket.on(event, (...args) => void events.push([event, ...args]));
        socket.connect();
        await eventually(() => expect(events.length).toBeGreaterThan(0));
        return { socket, events };
      },
    };
  }

  test("connects, emits with an acknowledgement, and receives events", async () => {
    const { io, connect } = await world();
    io.on("connection", (socket) => {
      socket.on("ask", (question: object, answer: (...args: unknown[]) => void) => answer({ question }, 2));
      socket.emit("said", { auth: socket.handshake.auth }, "ünï");
    });

    const { socket, events } = await connect((give) => setTimeout(() => give({ token: "late" }), 10));

    await eventually(() => expect(events).toContainEqual(["said", { auth: { token: "late" } }, "ünï"]));
    expect(await new Promise((resolve) => socket.emit("ask", { a: 1 }, (...args: unknown[]) => resolve(args)))).toEqual(
      [{ question: { a: 1 } }, 2],
    );
    expect(socket).toMatchObject({ connected: true, active: true });
    expect(socket.recovered).toBeFalsy();
  });

  test("reconstructs binary attachments", async () => {
    const { io, connect } = await world();
    io.on("connection", (socket) => socket.emit("bytes", { one: Buffer.from("a"), two: [Buffer.from("b")] }, 3));

    const { events } = await connect();

    await eventually(() => expect(events.map(([name]) => name)).toContain("bytes"));
    expect(events.at(-1)).toEqual(["bytes", { one: Buffer.from("a"), two: [Buffer.from("b")] }, 3]);
  });

  test("reports why a handshake was refused, and does not retry by itself", async () => {
    const { io, connect } = await world();
    io.use((_, next) => next(Object.assign(new Error("unauthorized"), { data: { code: "unauthorized" } })));

    const { socket, events } = await connect();

    expect(events).toHaveLength(1);
    expect(events[0]?.[1]).toMatchObject({ message: "unauthorized", data: { code: "unauthorized" } });
    expect(socket).toMatchObject({ connected: false, active: false });
  });

  test("does not reconnect by itself after the server disconnected it", async () => {
    const { io, connect } = await world();
    const { socket, events } = await connect();

    io.disconnectSockets();

    await eventually(() => expect(events.at(-1)?.slice(0, 2)).toEqual(["disconnect", "io server disconnect"]));
    expect(socket).toMatchObject({ connected: false, active: false });
    socket.connect();
    await eventually(() => expect(socket.connected).toBe(true));
  });

  test("sends DISCONNECT when it is closed", async () => {
    const { io, connect } = await world();
    const gone = new Promise((resolve) => io.on("connection", (socket) => socket.on("disconnect", resolve)));

    const { socket } = await connect();
    socket.disconnect();

    expect(await gone).toBe("client namespace disconnect");
    expect(socket).toMatchObject({ connected: false, active: false });
  });

  test("reconnects after a cut, recovers its session, and receives missed events before `connect`", async () => {
    const { io, line, connect } = await world({ connectionStateRecovery: {} });
    const sockets: Socket[] = [];
    io.on("connection", (socket) => {
      sockets.push(socket);
      void socket.join("room");
    });
    const { socket, events } = await connect();
    await eventually(() => expect(sockets).toHaveLength(1));
    io.to("room").emit("said", 1);
    await eventually(() => expect(events.map(([name]) => name)).toContain("said"));

    line.cut();
    await eventually(() => expect(socket.connected).toBe(false));
    io.to("room").emit("said", 2);
    io.to("room").emit("said", 3);
    await eventually(() => expect(socket.connected).toBe(true));

    io.to("room").emit("said", 4);
    await eventually(() => expect(events.at(-1)?.slice(0, 2)).toEqual(["said", 4]));
    expect(events.map(([name, what]) => (name === "said" ? what : name))).toEqual([
      "connect",
      1,
      "disconnect",
      2,
      3,
      "connect",
      4,
    ]);
    expect(socket.recovered).toBe(true);
  });

  test("keeps retrying without a server", async () => {
    // One that nobody else is given while nobody listens there.
    const port = await freePort();
    const { io, connect } = await world({}, port);
    const { socket, events } = await connect();

    await io.close();
    await eventually(() => expect(events.map(([name]) => name)).toContain("connect_error"));
    const again = await stockServer({}, port);

    await eventually(() => expect(socket.connected).toBe(true));
    expect(again.io.engine.clientsCount).toBe(1);
  });

  test("answers the heartbeat", async () => {
    const heartbeat = { pingInterval: 50, pingTimeout: 400 };
    // Who stands still for longer than the time-out is disconnected rightly, and tries again.
    await within(heartbeat.pingInterval + heartbeat.pingTimeout, async () => {
      const { io, connect } = await world(heartbeat);
      const gone: string[] = [];
      io.on("connection", (socket) => socket.on("disconnect", (reason) => gone.push(reason)));

      const { events } = await connect();
      await new Promise((resolve) => setTimeout(resolve, 600));

      expect(gone).toEqual([]);
      expect(events.map(([name]) => name)).toEqual(["connect"]);
    });
  });

  test("disconnects from a silent server", async () => {
    const line = new Dialer([new URL(`http://127.0.0.1:${await silentServer()}`)], 0);
    const give: Auth = (done) => done({});
    const socket =
      kind === "lean"
        ? new LeanSocket({ dialer: line, path: "/socket.io/", auth: give, random: early, parse: createParser() })
        : createStockSocket(line, "/socket.io/", give);
    onTestFinished(() => void socket.disconnect());
    const reasons: string[] = [];
    socket.on("disconnect", (reason) => reasons.push(reason));

    socket.connect();

    await eventually(() => expect(reasons).toEqual(["ping timeout"]));
  });
});

test("a lean client disconnects from a server that does not speak Socket.IO", async () => {
  const line = new Dialer([new URL(`http://127.0.0.1:${await silentServer("nonsense")}`)], 0);
  const socket = new LeanSocket({
    dialer: line,
    path: "/socket.io/",
    auth: (give) => give({}),
    random: early,
    parse: createParser(),
  });
  onTestFinished(() => void socket.disconnect());
  const errors: Error[] = [];
  socket.on("connect_error", (error) => errors.push(error));

  socket.connect();

  await eventually(() => expect(errors[0]?.message).toBe("parse error"));
});

async function stockServer(options: Partial<ServerOptions>, port = 0): Promise<{ io: Server; port: number }> {
  const http: HttpServer = createServer();
  const io = new Server(http, options);
  http.listen(port, "127.0.0.1");
  await once(http, "listening");
  onTestFinished(() => io.close());
  return { io, port: (http.address() as AddressInfo).port };
}

/** Greets, takes the handshake, and says nothing more; or says something else from the start. */
async function silentServer(words?: string): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => {
    for (const client of server.clients) client.terminate();
    server.close();
  });
  server.on("connection", (socket) => {
    const greeting = { sid: "s", upgrades: [], pingInterval: 50, pingTimeout: 100, maxPayload: 1e6 };
    socket.send(words ?? `0${JSON.stringify(greeting)}`);
    socket.on("message", (data) => (data as Buffer).toString().startsWith("40") && socket.send('40{"sid":"x"}'));
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
