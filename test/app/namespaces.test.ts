import { Manager, type Socket } from "socket.io-client";
import { describe, expect, onTestFinished, test } from "vitest";
import type { AppRequest } from "../../src/index.ts";
import { createTestGateway } from "../../src/testing/testing.ts";
import { startGateway, type TestGateway } from "../support/gateway.ts";
import { json, secret, startApp, type Forwarded } from "./http-app.ts";
import { embed } from "./support.ts";

/** Sockets of one client, which share one connection. */
function clientOf(url: string, options: object = {}) {
  const manager = new Manager(url, {
    transports: ["websocket"],
    reconnection: false,
    reconnectionDelay: 50,
    ...options,
  });
  onTestFinished(() => manager._close());
  return (name: string, auth: object = {}): Socket => manager.socket(name, { auth });
}

const connected = (socket: Socket): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });

async function gatewayWith(answer: (request: AppRequest) => object, app: object = {}) {
  const served = await startApp(json(({ json: body }: Forwarded) => answer(body as AppRequest)));
  const gateway = await startGateway({ file: { app: { url: served.url, secret, namespaces: ["/admin"], ...app } } });
  return { gateway, bodies: () => served.requests.map(({ json: body }) => body as AppRequest) };
}

const tokenOf = async (gateway: TestGateway, userId = "ann") => (await gateway.signIn(userId)).token;

describe("namespaces of the configuration", () => {
  test("have events of their own, over one connection with one token", async () => {
    const { gateway, bodies } = await gatewayWith(({ namespace, event }) => ({
      ack: [`${namespace} ${event}`],
      emit: [{ event: "told", args: [namespace] }],
    }));
    const socket = clientOf(gateway.url);
    const token = await tokenOf(gateway);
    const main = socket("/", { token });
    const admin = socket("/admin", { token, panel: 7 });
    const told: string[] = [];
    main.on("told", (namespace) => told.push(`main: ${namespace}`));
    admin.on("told", (namespace) => told.push(`admin: ${namespace}`));
    await Promise.all([connected(main), connected(admin)]);

    expect(await main.emitWithAck("move", 1)).toBe("/ move");
    expect(await admin.emitWithAck("move", 2)).toBe("/admin move");
    // Nothing is built in here.
    expect(await admin.emitWithAck("subscribe", { channel: "news:1" })).toBe("/admin subscribe");

    expect(told).toEqual(["main: /", "admin: /admin", "admin: /admin"]);
    const [first, second] = bodies();
    expect(second).toMatchObject({
      namespace: "/admin",
      args: [2],
      user: { userId: "ann" },
      connection: { auth: { panel: 7 } },
    });
    expect(second?.connection?.connectionId).toBe(first?.connection?.connectionId);
  });

  test("need no other namespace: the first one authenticates the connection", async () => {
    const { gateway, bodies } = await gatewayWith(() => ({ ack: ["done"] }));
    const { token, sessionId } = await gateway.signIn("ann");
    const socket = clientOf(gateway.url);
    const admin = socket("/admin", { token });
    await connected(admin);

    expect(await admin.emitWithAck("move")).toBe("done");
    expect(bodies()).toMatchObject([{ namespace: "/admin", user: { userId: "ann" } }]);
    const ended = new Promise((resolve) => admin.once("disconnect", resolve));
    expect((await gateway.call("DELETE", `/v1/sessions/${sessionId}`)).body).toMatchObject({ disconnected: 1 });
    await ended;
  });

  test("are not entered without a valid token, nor with another user's", async () => {
    const { gateway } = await gatewayWith(() => ({}));
    const socket = clientOf(gateway.url);
    await connected(socket("/", { token: await tokenOf(gateway) }));

    await expect(connected(socket("/admin", { token: await tokenOf(gateway, "bob") }))).rejects.toMatchObject({
      message: "unauthorized",
    });
    await expect(connected(clientOf(gateway.url)("/admin", { token: "wrong" }))).rejects.toMatchObject({
      message: "unauthorized",
    });
    await expect(connected(clientOf(gateway.url)("/admin"))).rejects.toMatchObject({ message: "unauthorized" });
  });

  test("that nobody named are refused as by Socket.IO", async () => {
    const { gateway } = await gatewayWith(() => ({}));
    const socket = clientOf(gateway.url);
    const token = await tokenOf(gateway);

    await expect(connected(socket("/nothing", { token }))).rejects.toMatchObject({ message: "Invalid namespace" });
    await connected(socket("/", { token }));
  });

  test("are entered by whom the connect hook names", async () => {
    const { gateway, bodies } = await gatewayWith(
      ({ type, user }) => (type === "connect" ? { userId: "guest" } : { ack: [user?.userId] }),
      { hooks: ["connect"] },
    );
    const socket = clientOf(gateway.url);
    const [admin, main] = [socket("/admin"), socket("/")];
    await Promise.all([connected(admin), connected(main)]);

    expect(await admin.emitWithAck("move")).toBe("guest");
    expect(bodies().filter(({ type }) => type === "connect")).toHaveLength(1);
  });

  test("of a client that comes back are entered anew, while the main one is recovered, whichever it opens first", async () => {
    const { gateway } = await gatewayWith(() => ({ ack: ["done"] }));
    const socket = clientOf(gateway.url, { reconnection: true });
    const token = await tokenOf(gateway);
    const [admin, main] = [socket("/admin", { token }), socket("/", { token })];
    const ready = new Promise((resolve) => main.once("ready", resolve));
    await Promise.all([connected(admin), connected(main), ready]);
    const before = { main: main.id, admin: admin.id };

    main.io.engine.close();
    await Promise.all([connected(admin), connected(main)]);

    expect([main.recovered, main.id]).toEqual([true, before.main]);
    expect(admin.recovered).toBe(false);
    expect(admin.id).not.toBe(before.admin);
    expect(await admin.emitWithAck("move")).toBe("done");
  });

  test("are left one by one, and the main one may follow later", async () => {
    const { gateway } = await gatewayWith(({ namespace }) => ({ ack: [namespace] }), {
      namespaces: ["/admin", "/shop"],
    });
    const socket = clientOf(gateway.url, { reconnection: true });
    const token = await tokenOf(gateway);
    const [admin, shop] = [socket("/admin", { token }), socket("/shop", { token })];
    await Promise.all([connected(admin), connected(shop)]);

    const main = socket("/", { token });
    await connected(main);
    shop.disconnect();

    expect(await main.emitWithAck("move")).toBe("/");
    expect(await admin.emitWithAck("move")).toBe("/admin");
  });

  test("share the limits of the connection's user", async () => {
    const limits = { messages: { capacity: 6, refillPerSecond: 0.001 } };
    const served = await startApp(json(() => ({ ack: ["done"] })));
    const gateway = await startGateway({
      file: { limits, app: { url: served.url, secret, namespaces: ["/admin"], events: { "*": { cost: 3 } } } },
    });
    const socket = clientOf(gateway.url);
    const token = await tokenOf(gateway);
    const [main, admin] = [socket("/", { token }), socket("/admin", { token })];
    await Promise.all([connected(main), connected(admin)]);

    expect(await main.emitWithAck("move")).toBe("done");
    expect(await admin.emitWithAck("move")).toBe("done");
    expect(await admin.emitWithAck("move")).toMatchObject({ ok: false, error: { code: "rate_limited" } });
  });
});

describe("namespaces of an app in this process", () => {
  test("that refuse a client again and again do not end its connection, at 32 attempts a second", async () => {
    const gateway = await createTestGateway({
      app({ io }) {
        io.of("/admin").use((_socket, next) => next(new Error("not yet")));
      },
    });
    onTestFinished(() => gateway.close().then(() => undefined));
    const ann = await gateway.connect("ann");
    const admin = ann.socket.io.socket("/admin", { auth: {} });
    onTestFinished(() => void admin.disconnect());
    let refusals = 0;
    const refused = async (): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      admin.once("connect_error", () => resolve());
      admin.connect();
      await promise;
      refusals += 1;
    };
    for (let round = 0; round < 3; round += 1) {
      while (refusals % 31 !== 30) await refused();
      await refused();
      await gateway.clock.advance(1_500);
    }

    expect([refusals, ann.socket.connected]).toEqual([93, true]);
    for (let attempt = 0; attempt < 33; attempt += 1) admin.connect();
    expect(await ann.next("closing")).toMatchObject({ message: "Too many namespaces." });
  });

  test("may be any number, without a warning of Node about listeners", async () => {
    const warnings: string[] = [];
    const warned = ({ name }: Error): void => void warnings.push(name);
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    const gateway = await embed();

    for (let number = 0; number < 12; number += 1) gateway.io.of(`/floor-${number}`);
    await gateway.io.of("/floor-11").fetchSockets();

    expect(warnings).toEqual([]);
  });

  test("authenticate their clients, before the app's own middleware, also dynamic ones", async () => {
    const gateway = await embed();
    const seen: string[] = [];
    for (const namespace of [gateway.io.of("/admin"), gateway.io.of(/^\/team-\d+$/)]) {
      namespace.use((socket, next) => {
        seen.push(`${socket.nsp.name} ${socket.data.user?.userId}`);
        next();
      });
      namespace.on("connection", (socket) => {
        socket.on("greet", (name, answer) => answer(`${socket.data.user.userId} greets ${name}`));
        void socket.join("everybody");
      });
    }
    await gateway.listen(0, "127.0.0.1");
    const { token } = await gateway.sessions.create({ userId: "ann" });
    const socket = clientOf(gateway.url);
    const sockets = ["/admin", "/team-1", "/"].map((name) => socket(name, { token }));
    const [admin, team] = sockets as [Socket, Socket];
    await Promise.all(sockets.map(connected));

    expect(seen.toSorted((a, b) => a.localeCompare(b))).toEqual(["/admin ann", "/team-1 ann"]);
    expect(await admin.emitWithAck("greet", "bob")).toBe("ann greets bob");
    expect(await team.emitWithAck("greet", "cid")).toBe("ann greets cid");
    expect(await team.emitWithAck("nothing")).toMatchObject({ ok: false, error: { code: "unknown_event" } });
    const news = new Promise((resolve) => team.once("news", resolve));
    gateway.io
      .of("/team-1")
      .to("everybody")
      .emit("news", Buffer.from([1]));
    expect(await news).toEqual(Buffer.from([1]));
    const [fetched] = await gateway.io.of("/admin").fetchSockets();
    expect(JSON.stringify(fetched?.handshake)).not.toContain(token);
    await expect(connected(clientOf(gateway.url)("/team-2"))).rejects.toMatchObject({ message: "unauthorized" });
  });

  test.each(["/", "/closed"])("can be entered after the app's middleware has refused %s", async (name) => {
    const gateway = await embed({ config: { limits: { connectionsPerUser: 1 } } });
    gateway.io.of("/admin");
    gateway.io.of(name).use((_, next) => next(new Error("no code")));
    await gateway.listen(0, "127.0.0.1");
    const { token } = await gateway.sessions.create({ userId: "ann" });
    const socket = clientOf(gateway.url);
    const refused = socket(name, { token });
    const failed = connected(refused);
    const admin = socket("/admin", { token });
    const entered = connected(admin);

    await expect(failed).rejects.toThrow("no code");
    await entered;
    expect(gateway.io.of("/admin").sockets.size).toBe(1);
  });
});
