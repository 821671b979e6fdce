import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server, type Server as SocketIoServer } from "socket.io";
import { io, type Socket } from "socket.io-client";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { eventually, freshPrefix } from "../support/world.ts";
import { embed } from "./support.ts";

/** Two servers over one Redis. The table of the README tells of what is tested here. */
interface Pair {
  servers: [SocketIoServer, SocketIoServer];
  /** A client of the first or the second, in the room, and the texts that it was sent. */
  connect(index: 0 | 1): Promise<{ socket: Socket; texts: string[] }>;
}

const room = "chat:lobby";
const joinRoom = (server: SocketIoServer): SocketIoServer =>
  server.on("connection", async (socket) => {
    await socket.join(room);
    socket.emit("joined");
  });

function pairOf(urls: readonly string[], servers: SocketIoServer[], authOf: () => object): Pair {
  return {
    servers: servers.map(joinRoom) as Pair["servers"],
    async connect(index) {
      // A client that is cut while it upgrades stays until it has, and misses nothing.
      const transports = ["websocket"];
      const socket = io(urls[index] ?? "", { transports, forceNew: true, reconnection: false, auth: authOf() });
      onTestFinished(() => void socket.disconnect());
      const texts: string[] = [];
      socket.on("chat message", (text: string) => texts.push(text));
      await new Promise<void>((resolve) => socket.once("joined", resolve));
      return { socket, texts };
    },
  };
}

/** With the Redis adapter, and with connection state recovery. */
async function startStock(): Promise<Pair> {
  const key = freshPrefix();
  const http = [createServer(), createServer()];
  const servers = http.map((server) => {
    const redis = [new Redis(inject("redisUrl")), new Redis(inject("redisUrl"))] as const;
    const own = new Server(server, { adapter: createAdapter(...redis, { key }), connectionStateRecovery: {} });
    onTestFinished(async () => {
      await own.close();
      for (const connection of redis) connection.disconnect();
    });
    return own;
  });
  await Promise.all(http.map((server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))));
  const urls = http.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  // Each hears the other.
  await eventually(async () =>
    expect(await Promise.all(servers.map((server) => server.of("/").adapter.serverCount()))).toEqual([2, 2]),
  );
  return pairOf(urls, servers, () => ({}));
}

async function startTidegate(): Promise<Pair> {
  const keyPrefix = freshPrefix();
  const channels = { chat: { deliver: "event" } };
  const gateways = await Promise.all(["n1", "n2"].map((NODE_ID) => embed({ keyPrefix, channels, env: { NODE_ID } })));
  for (const { hooks } of gateways) hooks.connect(({ connection }) => ({ userId: String(connection?.auth["user"]) }));
  await Promise.all(gateways.map((gateway) => gateway.listen(0, "127.0.0.1")));
  const servers = gateways.map((gateway) => gateway.io);
  return pairOf(
    gateways.map(({ url }) => url),
    servers,
    () => ({ user: crypto.randomUUID() }),
  );
}

async function missedWhileAway({ servers, connect }: Pair): Promise<{ texts: string[]; recovered: boolean }> {
  const [away, witness] = await Promise.all([connect(0), connect(0)]);
  servers[1].to(room).emit("chat message", "before");
  await eventually(() => expect(away.texts).toEqual(["before"]));
  away.socket.io.engine.close();
  servers[1].to(room).emit("chat message", "missed");
  await eventually(() => expect(witness.texts).toContain("missed"));

  const joined = new Promise((resolve) => away.socket.once("joined", resolve));
  away.socket.connect();
  await joined;
  servers[1].to(room).emit("chat message", "after");

  await eventually(() => expect(away.texts).toContain("after"));
  return { texts: away.texts, recovered: away.socket.recovered };
}

/** What a client of each server sees if both servers send at once. */
async function ordersSeen({ servers, connect }: Pair): Promise<string[][]> {
  const clients = [await connect(0), await connect(1)];
  servers[0].to(room).emit("chat message", "a");
  servers[1].to(room).emit("chat message", "b");
  await eventually(() => expect(clients.map(({ texts }) => texts.length)).toEqual([2, 2]));
  return clients.map(({ texts }) => texts);
}

describe("stock Socket.IO with the Redis adapter", () => {
  test("loses what is sent while a client is away", async () => {
    expect(await missedWhileAway(await startStock())).toEqual({ texts: ["before", "after"], recovered: false });
  });

  test("shows clients of two servers the same events in different orders", async () => {
    expect(await ordersSeen(await startStock())).toEqual([
      ["a", "b"],
      ["b", "a"],
    ]);
  });

  test("answers nothing to an event that no listener handles", async () => {
    const { socket } = await (await startStock()).connect(0);

    await expect(socket.timeout(300).emitWithAck("typo")).rejects.toThrow("timed out");
  });
});

describe("Tidegate", () => {
  test("sends a client what it missed while it was away", async () => {
    expect(await missedWhileAway(await startTidegate())).toEqual({
      texts: ["before", "missed", "after"],
      recovered: true,
    });
  });

  test("shows clients of two nodes the same order", async () => {
    const [first, second] = await ordersSeen(await startTidegate());

    expect(first).toEqual(second);
  });

  test("answers an event that no listener handles", async () => {
    const { socket } = await (await startTidegate()).connect(0);

    expect(await socket.emitWithAck("typo")).toMatchObject({ ok: false, error: { code: "unknown_event" } });
  });
});
