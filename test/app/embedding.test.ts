import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createGateway } from "../../src/index.ts";
import { connectClient } from "../support/gateway.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";
import { embed, join, listening } from "./support.ts";

describe("embedding", () => {
  test("closes its connections to Redis even if it never listened", async () => {
    const { redis } = await redisWorld();
    const nodeId = freshPrefix();
    const ownClients = async () =>
      String(await redis.connection("commands").call("CLIENT", "LIST")).split(nodeId).length - 1;
    const gateway = await embed({ env: { NODE_ID: nodeId } });
    await eventually(async () => expect(await ownClients()).toBeGreaterThan(0));

    await gateway.close();

    await eventually(async () => expect(await ownClients()).toBe(0));
  });

  test("refuses options that it does not have, by name", async () => {
    const misspelled = { allowedOrigin: ["https://app.example"], limits: {} };

    await expect(createGateway(misspelled as object)).rejects.toMatchObject({
      problems: [
        { name: "allowedOrigin", message: "unknown option; did you mean allowedOrigins?" },
        { name: "limits", message: "unknown option" },
      ],
    });
  });

  test("names everything that is wrong at once", async () => {
    const wrong = { foo: 1, redis: "http://redis", channels: { chat: { subscribe: "publik" } } };

    const problems = createGateway(wrong as object).catch((error) => error.problems.map(({ name }: any) => name));

    expect(await problems).toEqual(["foo", "REDIS_URL", "channels.chat.subscribe"]);
  });

  test("starts once, and says so where it is asked to again", async () => {
    const gateway = await embed();
    await gateway.listen(0, "127.0.0.1");

    await expect(gateway.listen(0, "127.0.0.1")).rejects.toThrow("starts only once");

    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);
    expect(await gateway.close()).toBe(true);
    await expect(gateway.listen(0, "127.0.0.1")).rejects.toThrow("starts only once");
  });

  test("attaches to a server beside an Express app", async () => {
    const app = express().get("/", (_request, response) => void response.send("the app"));
    const server = createServer(app);
    const gateway = await embed({ server });
    await gateway.listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { token } = await gateway.sessions.create({ userId: "ann" });

    const ann = await connectClient(url, token ?? "");

    expect(ann.ready).toMatchObject({ userId: "ann" });
    expect(await (await fetch(url)).text()).toBe("the app");
    expect((await fetch(`${url}/v1/channels`)).status).toBe(401);
  });

  test("leaves a WebSocket server of the application alone", async () => {
    const server = createServer(express());
    const own = new WebSocketServer({ noServer: true });
    server.on("upgrade", (request, socket, head) => {
      if (request.url === "/own") own.handleUpgrade(request, socket, head, (accepted) => accepted.send("mine"));
    });
    const gateway = await embed({ server });
    await gateway.listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    const socket = new WebSocket(`${gateway.url.replace("http", "ws")}/own`);

    const message = await new Promise((resolve) => socket.once("message", (data: Buffer) => resolve(data.toString())));
    const ann = await join(gateway, "ann");

    expect([message, ann.connected, socket.readyState]).toEqual(["mine", true, WebSocket.OPEN]);
    socket.terminate();
  });

  test("beside a plugin that takes every upgrade, keeps its own, and gives all back when it closes", async () => {
    const server = createServer((request, response) => void response.end(`the app: ${request.url}`));
    // As @fastify/websocket does: what it does not know is refused.
    server.on("upgrade", (_request, socket) => void socket.end("HTTP/1.1 404 Not Found\r\n\r\n"));
    const gateway = await embed({ server });
    await gateway.listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    const text = async (path: string): Promise<string> => (await fetch(gateway.url + path)).text();
    const refusal = (path: string): Promise<unknown> =>
      new Promise((resolve) => {
        const socket = new WebSocket(gateway.url.replace("http", "ws") + path);
        socket
          .once("unexpected-response", (_request, { statusCode }) => resolve(statusCode))
          .on("error", () => undefined);
      });

    const ann = await join(gateway, "ann");
    expect([ann.connected, await refusal("/own"), await text("/")]).toEqual([true, 404, "the app: /"]);
    await gateway.close();

    await eventually(() => expect(ann.connected).toBe(false));
    expect(await text("/v1/channels")).toBe("the app: /v1/channels");
    expect(await text("/socket.io/?EIO=4&transport=polling")).toContain("the app: /socket.io/");
    expect(await refusal("/socket.io/?EIO=4&transport=websocket")).toBe(404);
  });

  test("two gateways on one Redis have rooms, requests and channels of their own", async () => {
    const [one, two] = await Promise.all([listening(), listening()]);
    const [ann, bob] = await Promise.all([join(one, "ann"), join(two, "bob")]);
    for (const client of [ann, bob]) client.on("vote", (done: (id: unknown) => void) => done(client.id));
    const heard: unknown[] = [];
    two.io.on("hello" as never, (text: string) => void heard.push(text));

    one.io.emit("to all", 1);
    one.io.serverSideEmit("hello" as never, "two");
    one.io.socketsJoin("everybody");

    await eventually(() => expect(ann.events.map(([name]) => name)).toContain("to all"));
    expect(await one.io.timeout(10_000).emitWithAck("vote")).toEqual([ann.id]);
    expect((await one.io.fetchSockets()).map(({ id }) => id)).toEqual([ann.id]);
    expect((await two.io.in("everybody").fetchSockets()).map(({ id }) => id)).toEqual([]);
    one.io.disconnectSockets(true);
    await eventually(() => expect(ann.connected).toBe(false));
    expect([bob.connected, bob.events.map(([name]) => name), heard]).toEqual([true, ["ready"], []]);
  });

  test("two gateways in one process do not disturb each other", async () => {
    const [one, two] = await Promise.all([
      listening((own) => own.on("who", () => "one")),
      listening((own) => own.on("who", () => "two")),
    ]);
    const [ann, bob] = await Promise.all([join(one, "ann"), join(two, "bob")]);

    await one.close();

    expect(await bob.emitWithAck("who")).toBe("two");
    await eventually(() => expect(ann.connected).toBe(false));
  });
});
