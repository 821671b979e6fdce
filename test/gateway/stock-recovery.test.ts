import { randomUUID } from "node:crypto";
import { Emitter } from "@socket.io/redis-emitter";
import { describe, expect, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";
import { openClient, startGateway, told, type Client } from "../support/gateway.ts";
import { seeded } from "../support/random.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { forge, secret } from "../auth/forge.ts";

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const offsets = (client: Client, channel: string) =>
  told(client, "publication")
    .filter((publication) => publication.channel === channel)
    .map(({ offset }) => offset as number);

/** The place that came with the last event of that name. */
const placeIn = (client: Client, event: string): number =>
  Number(client.events.findLast(([name]) => name === event)?.[2]);

/** A stock client that comes back by itself, to whichever node it is pointed at next. */
async function returningClient(url: string, token: string): Promise<Client> {
  const client = openClient(url, token, { reconnection: true, reconnectionDelay: 5, reconnectionDelayMax: 10 });
  await new Promise<void>((resolve) => client.once("ready", () => resolve()));
  return client;
}

async function cut(client: Client, nextUrl: string): Promise<void> {
  const back = new Promise<void>((resolve) => client.once("ready", () => resolve()));
  Object.assign(client.io, { uri: nextUrl });
  client.io.engine.close();
  await back;
}

const everyKind = {
  limits: {
    messages: { capacity: 100_000, refillPerSecond: 100_000 },
    handshakes: { capacity: 100_000, refillPerSecond: 100_000 },
  },
  channels: { chat: { subscribe: "public", publish: "public", history: { size: 5_000, ttlSeconds: 60 } } },
};

describe("an unmodified client that comes back", () => {
  test("to another node is recovered: same id, its subscriptions, exactly what it missed", async () => {
    const prefix = freshPrefix();
    const [first, second] = [
      await startGateway({ prefix, file: everyKind }),
      await startGateway({ prefix, file: everyKind }),
    ];
    const client = await returningClient(first.url, (await first.signIn("ada")).token);
    await client.emitWithAck("subscribe", { channel: "chat:a" });
    await client.emitWithAck("subscribe", { channel: "chat:b" });
    const { id } = client;
    for (const channel of ["chat:a", "chat:b", "chat:a"])
      await first.call("POST", "/v1/publish", { channel, event: "said", data: 1 });
    await eventually(() => expect(told(client, "publication")).toHaveLength(3));

    Object.assign(client.io, { uri: "http://127.0.0.1:1" });
    client.io.engine.close();
    await eventually(() => expect(client.connected).toBe(false));
    for (const channel of ["chat:b", "chat:a", "user:ada"])
      await second.call("POST", "/v1/publish", { channel, event: "said", data: 2 });
    Object.assign(client.io, { uri: second.url });
    await eventually(() => expect(client.connected).toBe(true));

    expect({ recovered: client.recovered, id: client.id }).toEqual({ recovered: true, id });
    await eventually(() =>
      expect(told(client, "ready").at(-1)).toMatchObject({ recovered: true, nodeId: expect.any(String) }),
    );
    await first.call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: 3 });
    await eventually(() => expect(offsets(client, "chat:a")).toEqual([1, 2, 3, 4]));
    await eventually(() => expect(offsets(client, "chat:b")).toEqual([1, 2]));
    await eventually(() => expect(offsets(client, "user:ada")).toEqual([1]));
  });

  test("keeps what a subscription token let it into, until the token expires", async () => {
    const prefix = freshPrefix();
    const options = { prefix, env: { JWT_SECRET: secret }, file: { channels: { closed: { presence: true } } } };
    const [first, second] = [await startGateway(options), await startGateway(options)];
    const client = await returningClient(first.url, (await first.signIn("ada")).token);
    const publish = () => client.emitWithAck("publish", { channel: "closed:1", event: "said", data: 1 });
    const subscribe = (more: object) => client.emitWithAck("subscribe", { channel: "closed:1", ...more });
    const tokenUntil = (exp: number, more: object = {}) =>
      forge({ payload: { sub: "ada", channel: "closed:1", iat: exp - 60, exp, ...more } });
    const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;
    await subscribe({ token: tokenUntil(inSeconds(60), { publish: true }) });
    await publish();
    await eventually(() => expect(offsets(client, "closed:1")).toEqual([1]));

    await cut(client, second.url);

    expect(client.recovered).toBe(true);
    expect(await publish()).toMatchObject({ ok: true, offset: 2 });
    await eventually(() => expect(offsets(client, "closed:1")).toEqual([1, 2]));
    expect(await subscribe({ token: tokenUntil(inSeconds(8)) })).toMatchObject({ ok: true });

    await cut(client, first.url);

    expect(client.recovered).toBe(true);
    expect(await publish()).toMatchObject({ error: { code: "forbidden" } });
    await eventually(() => expect(told(client, "unsubscribed")).toMatchObject([{ channel: "closed:1" }]));
  });

  test("before it has read anything is recovered too", async () => {
    const prefix = freshPrefix();
    const [first, second] = [await startGateway({ prefix }), await startGateway({ prefix })];
    const client = await returningClient(first.url, (await first.signIn("ada")).token);
    await first.call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: 0 });
    await client.emitWithAck("subscribe", { channel: "chat:a" });
    client.io.engine.close();
    await first.call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: 1 });
    Object.assign(client.io, { uri: second.url });

    await eventually(() => expect(offsets(client, "chat:a")).toEqual([2]));
    expect(client.recovered).toBe(true);
  });

  test("over many random cuts between three nodes loses and repeats nothing", { timeout: 120_000 }, async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all(range(1, 3).map(() => startGateway({ prefix, file: everyKind })));
    const random = seeded(11);
    const node = () => nodes[Math.floor(random() * nodes.length)]!;
    const client = await returningClient(nodes[0]!.url, (await nodes[0]!.signIn("ada")).token);
    const names = ["chat:a", "chat:b", "chat:c"];
    for (const channel of names) await client.emitWithAck("subscribe", { channel });
    const written = new Map(names.map((name) => [name, 0]));
    let isDone = false;
    const publishing = (async () => {
      while (!isDone) {
        const burst = range(1, 1 + Math.floor(random() * 4)).map(() => names[Math.floor(random() * names.length)]!);
        await Promise.all(
          burst.map((channel) => node().call("POST", "/v1/publish", { channel, event: "said", data: 1 })),
        );
        for (const name of burst) written.set(name, written.get(name)! + 1);
      }
    })();

    for (let round = 0; round < 60; round++) {
      await cut(client, node().url);
      expect(client.recovered).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, random() * 10));
    }
    isDone = true;
    await publishing;

    for (const name of names)
      await eventually(() => expect(offsets(client, name)).toEqual(range(1, written.get(name)!)));
  });

  test.each([
    ["may come back is recovered", "disconnected_by_backend", true],
    ["is to stay away begins anew, whatever the code's own word for it", "drain", false],
  ])("after a backend sent it away and said that it %s", async (_, code, reconnect) => {
    const { url, call, signIn } = await startGateway();
    const client = await returningClient(url, (await signIn("ada")).token);
    await client.emitWithAck("subscribe", { channel: "chat:a" });

    const back = new Promise<void>((resolve) => client.once("ready", () => resolve()));
    await call("POST", "/v1/users/ada/disconnect", { code, reconnect });
    await eventually(() => expect(client.connected && told(client, "ready").length === 1).toBe(false));
    if (!reconnect) client.connect();
    await back;

    expect(client.recovered).toBe(reconnect);
    expect(told(client, "closing")).toMatchObject([{ code, reconnect }]);
  });

  test("after its session was revoked is refused", async () => {
    const prefix = freshPrefix();
    const [first, second] = [await startGateway({ prefix }), await startGateway({ prefix })];
    const { token, sessionId } = await first.signIn("ada");
    const client = await returningClient(first.url, token);
    Object.assign(client.io, { uri: "http://127.0.0.1:1" });
    client.io.engine.close();
    await first.call("DELETE", `/v1/sessions/${sessionId}`);
    await first.call("POST", "/v1/publish", { channel: "user:ada", event: "secret", data: 1 });
    const refused = new Promise<Error>((resolve) => {
      client.on("connect_error", (error) => "data" in error && error.data !== undefined && resolve(error));
    });
    Object.assign(client.io, { uri: second.url });

    expect(await refused).toMatchObject({ message: "session_expired" });
    expect(told(client, "publication")).toEqual([]);
  });

  test.each([["as another user", async (other: string) => other]])(
    "%s is a new connection without any of the old one's channels",
    async () => {
      const { url, signIn, call } = await startGateway();
      const client = await returningClient(url, (await signIn("ada")).token);
      await client.emitWithAck("subscribe", { channel: "chat:a" });
      const { id } = client;
      client.auth = { token: (await signIn("mallory")).token };
      client.io.engine.close();
      await call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: 1 });
      await eventually(() => expect(told(client, "ready")).toHaveLength(2));

      expect(client.recovered).toBe(false);
      expect(client.id).not.toBe(id);
      expect(told(client, "ready").at(-1)).toMatchObject({ userId: "mallory", recovered: false });
      expect(told(client, "publication")).toEqual([]);
    },
  );

  test.each([
    ["a word", ["hello"]],
    ["a small number", ["17"]],
    ["the largest number there is room for", ["9999999999999999"]],
    ["an object", [{ text: "hello" }]],
    ["a string behind bytes", [Buffer.from("bytes"), "hello"]],
    ["nothing but its name", []],
  ])("after another program's event that ends in %s gets what it missed, once", async (_, words) => {
    const userId = `ada-${randomUUID()}`;
    const { url, signIn, call } = await startGateway();
    const { redis } = await redisWorld();
    const client = await returningClient(url, (await signIn(userId)).token);
    const publish = (data: number) => call("POST", "/v1/publish", { channel: `user:${userId}`, event: "said", data });
    for (const data of [1, 2]) await publish(data);
    await eventually(() => expect(told(client, "publication")).toHaveLength(2));
    new Emitter(redis.connection("commands")).to(`user:${userId}`).emit("notice", ...words);
    await eventually(() => expect(client.events.filter(([name]) => name === "notice")).toHaveLength(1));

    Object.assign(client.io, { uri: "http://127.0.0.1:1" });
    client.io.engine.close();
    for (const data of [3, 4]) await publish(data);
    Object.assign(client.io, { uri: url });

    await eventually(() => expect(offsets(client, `user:${userId}`)).toEqual([1, 2, 3, 4]));
    expect(client.recovered).toBe(true);
  });

  test.each([
    ["that no publication was given yet", (last: number) => last + 3_600_000_000],
    ["beyond all numbers", () => Number.MAX_SAFE_INTEGER],
    ["from before its session began", (_: number, begun: number) => begun - 1],
    ["that is none", () => "hello"],
  ])("with a place %s is not recovered", async (_, placeOf) => {
    const { url, signIn, call } = await startGateway();
    const say = () => call("POST", "/v1/publish", { channel: "user:ada", event: "said", data: 1 });
    const { token } = await signIn("ada");
    const earlier = await returningClient(url, token);
    await say();
    await eventually(() => expect(told(earlier, "publication")).toHaveLength(1));
    const client = await returningClient(url, token);
    const begun = placeIn(client, "ready");
    await say();
    await eventually(() => expect(told(client, "publication")).toHaveLength(1));
    const { _pid: pid } = client as unknown as { _pid: string };

    const offset = `${placeOf(placeIn(client, "publication"), begun)}`;
    const back = openClient(url, "", { auth: { token, pid, offset } });
    await eventually(() => expect(told(back, "ready")).toHaveLength(1));

    expect(told(back, "ready")).toMatchObject([{ recovered: false }]);
    expect(back.recovered).toBe(false);
  });

  test("to a channel that keeps no log is told that it missed something, and recovered where it did not", async () => {
    const file = { channels: { live: { subscribe: "public", history: { size: 0, ttlSeconds: 60 } } } };
    const { url, signIn, call } = await startGateway({ file });
    const say = () => call("POST", "/v1/publish", { channel: "live:a", event: "said", data: 1 });
    const client = await returningClient(url, (await signIn("ada")).token);
    await client.emitWithAck("subscribe", { channel: "live:a" });
    await say();
    await eventually(() => expect(offsets(client, "live:a")).toEqual([1]));
    await cut(client, url);
    expect(client.recovered).toBe(true);

    Object.assign(client.io, { uri: "http://127.0.0.1:1" });
    client.io.engine.close();
    await say();
    Object.assign(client.io, { uri: url });
    await eventually(() => expect(told(client, "ready")).toHaveLength(3));
    expect(client.recovered).toBe(false);
  });

  test("when the log no longer has what it missed is told so, with nothing partial", async () => {
    const file = { channels: { chat: { subscribe: "public", history: { size: 3, ttlSeconds: 60 } } } };
    const { url, signIn, call } = await startGateway({ file });
    const client = await returningClient(url, (await signIn("ada")).token);
    await client.emitWithAck("subscribe", { channel: "chat:a" });
    Object.assign(client.io, { uri: "http://127.0.0.1:1" });
    client.io.engine.close();
    for (const n of range(1, 10)) await call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: n });
    Object.assign(client.io, { uri: url });

    await eventually(() => expect(told(client, "ready")).toHaveLength(2));
    await call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: 11 });
    await call("POST", "/v1/publish", { channel: "user:ada", event: "said", data: 12 });
    await eventually(() => expect(offsets(client, "user:ada")).toEqual([1]));
    expect(client.recovered).toBe(false);
    expect(offsets(client, "chat:a")).toEqual([]);
  });

  test("does not get back what it unsubscribed from", async () => {
    const { url, signIn, call } = await startGateway();
    const client = await returningClient(url, (await signIn("ada")).token);
    await client.emitWithAck("subscribe", { channel: "chat:a" });
    await client.emitWithAck("subscribe", { channel: "chat:b" });
    await client.emitWithAck("unsubscribe", { channel: "chat:a" });
    await cut(client, url);

    expect(client.recovered).toBe(true);
    for (const channel of ["chat:a", "chat:b"]) await call("POST", "/v1/publish", { channel, event: "said", data: 1 });
    await eventually(() => expect(offsets(client, "chat:b")).toEqual([1]));
    expect(offsets(client, "chat:a")).toEqual([]);
  });

  test("gets back a subscription that the store had lost the record of", async () => {
    const server = await startRedisServer();
    onTestFinished(() => server.stop());
    const { url, prefix, signIn, call } = await startGateway({ env: { REDIS_URL: server.url } });
    const commands = (await redisWorld(server.url)).redis.connection("commands");
    const client = await returningClient(url, (await signIn("ada")).token);
    await client.emitWithAck("subscribe", { channel: "chat:a" });
    const record = createKeys(prefix).recoveryRecord((client as unknown as { _pid: string })._pid);
    await commands.hdel(record, "c:chat:a");
    await server.kill("pubsub");
    await eventually(async () => expect(await commands.hkeys(record)).toContain("c:chat:a"));

    await cut(client, url);
    await call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: 1 });

    expect(client.recovered).toBe(true);
    await eventually(() => expect(offsets(client, "chat:a")).toEqual([1]));
  });

  test("while its old connection is still open replaces it, again and again, on the same node and on another", async () => {
    const prefix = freshPrefix();
    const nodes = [await startGateway({ prefix }), await startGateway({ prefix })];
    const { token } = await nodes[0]!.signIn("ada");
    const first = openClient(nodes[0]!.url, token);
    await eventually(() => expect(told(first, "ready")).toHaveLength(1));
    await first.emitWithAck("subscribe", { channel: "chat:a" });
    const { id } = first;
    const pid = (first as unknown as { _pid: string })._pid;

    let old = first;
    for (const n of range(1, 6)) {
      const { url } = nodes[n % 2 === 0 ? 0 : Math.floor(n / 2) % 2]!;
      const next = openClient(url, "", { auth: { token, pid, offset: "0" } });
      await eventually(() => expect(told(next, "ready")).toHaveLength(1));
      await eventually(() => expect(told(old, "closing")).toMatchObject([{ code: "connection_replaced" }]));
      await eventually(() => expect(old.connected).toBe(false));
      await nodes[0]!.call("POST", "/v1/publish", { channel: "chat:a", event: "said", data: n });
      await eventually(() => expect(offsets(next, "chat:a").at(-1)).toBe(n));
      expect(next.id).toBe(id);
      old = next;
    }
  });
});
