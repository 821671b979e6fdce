import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdapter } from "@socket.io/redis-adapter";
import { Server } from "socket.io";
import { io as connect, type Socket as ClientSocket } from "socket.io-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGateway, type Gateway } from "../../src/index.ts";
import { createRedisConnections, type RedisConnections } from "../../src/redis/connections.ts";
import { connectClient, startGateway, type Client, type TestGateway } from "../support/gateway.ts";
import { startStore, type StoreLab } from "../support/store-lab.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";

const channels = { chat: { subscribe: "public", publish: "public" } };

type Acknowledge = (...answer: unknown[]) => void;

/** The table of docs/stock-servers.md: each line is a test. */
describe("beside a stock Socket.IO server on the same Redis", () => {
  let store: StoreLab;
  let redis: RedisConnections;
  let stock: Server;
  let stockUrl: string;
  let gateway: Gateway;
  let prefix: string;

  beforeAll(async () => {
    store = await startStore("single");
    redis = createRedisConnections({ address: store.address, nodeId: "stock", log: quietLog });
    await redis.ready(60_000);
    const http = createServer();
    stock = new Server(http, {
      adapter: createAdapter(redis.connection("control-publisher"), redis.connection("control-subscriber")),
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    stockUrl = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    prefix = freshPrefix();
    gateway = await createGateway({
      keyPrefix: prefix,
      channels,
      log: quietLog,
      env: { ...store.env, JWT_SECRET: "a-secret-of-at-least-thirty-two-bytes", DRAIN_TIMEOUT_MS: "2000" },
    });
    await gateway.listen(0, "127.0.0.1");
  }, 60_000);

  afterAll(async () => {
    await gateway?.close();
    await stock?.close();
    await redis?.close();
    await store?.stop();
  });

  /** A node that runs no app. */
  const plainNode = (): Promise<TestGateway> =>
    startGateway({
      prefix,
      file: { channels },
      env: { ...store.env, JWT_SECRET: "a-secret-of-at-least-thirty-two-bytes", NODE_ID: "plain" },
    });

  /** A client of the gateway's app node, one of a node without an app, and one of the stock server. */
  async function clients(
    userId: string,
  ): Promise<{ own: Client[]; old: ClientSocket; heard: [string, ...unknown[]][] }> {
    const node = await plainNode();
    const own = await Promise.all(
      [gateway.url, node.url].map(async (url) =>
        connectClient(url, (await gateway.sessions.create({ userId })).token ?? ""),
      ),
    );
    const old = connect(stockUrl, { forceNew: true, transports: ["websocket"] });
    const heard: [string, ...unknown[]][] = [];
    old.onAny((event: string, ...args: unknown[]) => void heard.push([event, ...args]));
    await new Promise<void>((resolve) => old.once("connect", () => resolve()));
    return { own, old, heard };
  }

  const heardBy = ({ events }: Client, event: string): unknown[] =>
    events.filter(([name]) => name === event).map(([, argument]) => argument);
  const subscribe = (own: readonly Client[], channel: string) =>
    Promise.all(own.map((client) => client.emitWithAck("subscribe", { channel })));

  test("its io.emit and io.to reach clients of every node, once", async () => {
    const { own, old } = await clients("emit");
    await subscribe(own, "chat:emit");

    await eventually(() => {
      stock.to("chat:emit").emit("warm", 0);
      for (const client of own) expect(heardBy(client, "warm").length).toBeGreaterThan(0);
    });
    stock.emit("all", 1);
    stock.to("chat:emit").emit("channel", 2);
    stock.to("user:emit").emit("user", 3);

    for (const client of own)
      await eventually(() =>
        expect(["all", "channel", "user"].map((event) => heardBy(client, event))).toEqual([[1], [2], [3]]),
      );
    old.disconnect();
  });

  test("gateway.io.emit and rooms reach its clients, and publications do not", async () => {
    const { own, old, heard } = await clients("back");
    stock.socketsJoin("hall");
    await subscribe(own, "chat:back");

    await eventually(() => {
      gateway.io.to("hall").emit("hall", 1);
      expect(heard.map(([event]) => event)).toContain("hall");
    });
    gateway.io.to("chat:back").emit("said", 1);
    gateway.io.emit("last", 2);

    await eventually(() => expect(heard.map(([event]) => event)).toContain("last"));
    expect(heard.map(([event]) => event)).not.toContain("said");
    for (const client of own) await eventually(() => expect(heardBy(client, "publication")).toHaveLength(1));
    old.disconnect();
  });

  test("its socketsJoin and socketsLeave of a channel subscribe and unsubscribe", async () => {
    const { own, old } = await clients("join");
    const subscribed = async () =>
      (await gateway.users.connections("join")).connections.map((one) => one.channels.includes("chat:join"));

    await eventually(async () => {
      stock.in("user:join").socketsJoin("chat:join");
      expect(await subscribed()).toEqual([true, true]);
    });
    // A subscription counts from its request on.
    await eventually(async () => {
      await gateway.publish({ channel: "chat:join", event: "said", data: 1 });
      for (const client of own) expect(heardBy(client, "publication").length).toBeGreaterThan(1);
    });
    for (const client of own) {
      const [first, second] = heardBy(client, "publication") as { channel: string; offset: number }[];
      expect(first?.channel).toBe("chat:join");
      expect(second?.offset).toBe((first?.offset ?? 0) + 1);
    }

    stock.in("user:join").socketsLeave("chat:join");
    await eventually(async () => expect(await subscribed()).toEqual([false, false]));
    old.disconnect();
  });

  test("its emitWithAck is answered by clients of every node", async () => {
    const { own, old } = await clients("ack");
    await subscribe(own, "chat:ack");
    for (const client of own) client.on("vote", (what: Buffer, done: Acknowledge) => done(what));

    await eventually(async () => {
      const votes: Buffer[] = await stock
        .to("chat:ack")
        .timeout(2_000)
        .emitWithAck("vote", Buffer.from([7]));
      expect(votes.map((vote) => [...vote])).toEqual([[7], [7]]);
    });
    old.disconnect();
  });

  test("gateway.io.emitWithAck is answered by its clients", async () => {
    const { own, old } = await clients("ask");
    old.on("vote", (done: Acknowledge) => done("old"));
    stock.in(old.id ?? "").socketsJoin("voters");

    await eventually(async () =>
      expect(await gateway.io.to("voters").timeout(2_000).emitWithAck("vote")).toEqual(["old"]),
    );
    own[0]?.disconnect();
    old.disconnect();
  });

  test("fetchSockets of either side finds the sockets of both, without credentials", async () => {
    const { own, old } = await clients("fetch");
    const ids = [...own.map(({ id }) => id), old.id];

    await eventually(async () => {
      const [ofStock, ofGateway] = await Promise.all([stock.fetchSockets(), gateway.io.fetchSockets()]);
      for (const found of [ofStock, ofGateway]) expect(found.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
      expect(JSON.stringify(ofStock.map(({ handshake }) => handshake))).not.toContain("eyJ");
    });
    old.disconnect();
  });

  test("disconnectSockets of either side disconnects clients of the other", async () => {
    const { own, old } = await clients("out");
    const reasons: string[] = [];
    for (const client of own) client.on("disconnect", (reason) => void reasons.push(reason));

    await eventually(() => {
      stock.in("user:out").disconnectSockets(true);
      gateway.io.in(old.id ?? "").disconnectSockets(true);
      expect([...own, old].map(({ connected }) => connected)).toEqual([false, false, false]);
    });
    expect(reasons).toEqual(["io server disconnect", "io server disconnect"]);
  });

  test("serverSideEmit reaches gateway.io; a node without a listener leaves the sender a time-out", async () => {
    gateway.io.on("greet" as never, (name: string, done: Acknowledge) => done(`hello ${name}`));

    await eventually(async () =>
      expect(await stock.serverSideEmitWithAck("greet", "stock").catch(String)).toEqual(["hello stock"]),
    );
    await plainNode();
    await expect(stock.serverSideEmitWithAck("greet", "stock")).rejects.toThrow("only 1 responses received out of 2");
  });
});
