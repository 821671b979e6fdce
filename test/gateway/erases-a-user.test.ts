import { expect, test } from "vitest";
import type { RedisClient } from "../../src/redis/connections.ts";
import { startGateway, told } from "../support/gateway.ts";
import { eventually, redisWorld } from "../support/world.ts";

/** A name that occurs nowhere else. */
const user = "ada.lovelace";
const file = {
  channels: {
    chat: { subscribe: "public", publish: "public", presence: true },
    board: { subscribe: "public", publish: "public", state: true },
  },
  leaderboards: { "*": {}, daily: { season: "daily" } },
  limits: { custom: { sms: { requests: 3, windowSeconds: 3_600 } } },
};

/** Two nodes, and a user of whom everything is kept. */
async function startWithUser() {
  const one = await startGateway({ file });
  const two = await startGateway({ prefix: one.prefix, file });
  const { call } = one;
  const [near, far, lost] = [await one.signIn(user), await two.signIn(user), await two.signIn(user)];
  const clients = [await one.connect(near.token), await two.connect(far.token)];
  for (const client of clients) await client.emitWithAck("subscribe", { channel: "chat:lobby" });
  const set = (key: string, more: object) =>
    clients[0]?.emitWithAck("state:set", { channel: "board:1", key, value: user, ...more });
  await set("note", {});
  await set(`cursor:${user}`, { own: true });
  await set(`gone:${user}`, {});
  await set(`gone:${user}`, { value: null });
  const away = await two.connect(lost.token);
  away.io.engine.close();
  const connections = async () => (await call("GET", `/v1/users/${user}/connections`)).body.connections as object[];
  await eventually(async () => expect(await connections()).toHaveLength(2));
  await call("POST", "/v1/publish", { channel: `user:${user}`, event: "hello", data: 1 });
  await call("POST", "/v1/publish", { channel: `user:${user}`, event: "hello", data: 1, delayMs: 3_600_000 });
  const from = { userId: user, info: { name: "Ada" } };
  await call("POST", "/v1/publish", { channel: "chat:lobby", event: "said", data: 1, from, delayMs: 3_600_000 });
  await call("POST", "/v1/publish", { channel: "chat:lobby", event: "said", data: 1, delayMs: 3_600_000 });
  for (const board of ["daily", "points"])
    for (const member of [user, "bob"]) await call("PUT", `/v1/leaderboards/${board}/scores/${member}`, { score: 5 });
  await call("POST", "/v1/orders", { orderId: "own", parties: { customer: user, courier: "bob" } });
  await call("POST", "/v1/orders", { orderId: "other", parties: { customer: "bob" } });
  await call("PATCH", "/v1/orders/other", { parties: { courier: user } });
  await call("POST", "/v1/limits/sms/take", { key: user });
  return { one, two, call, clients, near };
}

/** The keys with a user's name in them or in their values. */
async function keysNaming(redis: RedisClient, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for (let cursor = "", keys: string[] = []; cursor !== "0";) {
    [cursor, keys] = await redis.scan(cursor === "" ? "0" : cursor, "MATCH", `*${prefix}*`, "COUNT", 10_000);
    for (const key of keys)
      if (key.includes(user) || JSON.stringify(await contentOf(redis, key)).includes(user)) found.push(key);
  }
  return found;
}

async function contentOf(redis: RedisClient, key: string): Promise<unknown> {
  const type = await redis.type(key);
  if (type === "hash") return redis.hgetall(key);
  if (type === "zset") return redis.zrange(key, "0", "-1");
  if (type === "set") return redis.smembers(key);
  if (type === "list") return redis.lrange(key, 0, -1);
  if (type === "stream") return redis.xrange(key, "-", "+");
  return redis.get(key);
}

test("everything kept of a user is read, and erased on every node", async () => {
  const { one, call, clients, near } = await startWithUser();
  const { redis } = await redisWorld();
  const commands = redis.connection("commands");

  const read = await call("GET", `/v1/users/${user}`);
  const erased = await call("DELETE", `/v1/users/${user}`);

  expect(read).toMatchObject({
    status: 200,
    body: {
      userId: user,
      sessions: [{ connections: 1 }, { connections: 1 }, { connections: 0 }],
      connections: [{ channels: expect.arrayContaining(["chat:lobby"]) }, {}],
      orders: [{ orderId: "other" }, { orderId: "own" }],
      scheduled: [{ channel: `user:${user}` }, { channel: "chat:lobby" }],
    },
  });
  expect(read.body.scores.map(({ board, score }: { board: string; score: number }) => [board, score])).toEqual([
    ["daily", 5],
    ["points", 5],
  ]);
  const ownKeys = (read.body.state as { key: string }[]).toSorted((a, b) => a.key.localeCompare(b.key));
  expect(ownKeys).toMatchObject([
    { channel: "board:1", key: `cursor:${user}`, value: user },
    { channel: "board:1", key: "note", value: user },
  ]);
  expect(erased).toMatchObject({
    status: 200,
    body: {
      removed: {
        sessions: 3,
        presence: 2,
        recoveryRecords: 1,
        blocks: 0,
        scores: 2,
        orders: 1,
        parties: 1,
        scheduled: 2,
      },
      nodes: 2,
      acknowledged: 2,
    },
  });
  expect(erased.body.removed.limits).toBeGreaterThanOrEqual(1);
  // The key that the connection owned may have gone with it before.
  expect(erased.body.removed.state).toBeGreaterThanOrEqual(1);
  expect(erased.body.removed.publications).toBeGreaterThanOrEqual(1);
  for (const client of clients) {
    await eventually(() => expect(client.connected).toBe(false));
    expect(told(client, "closing")).toMatchObject([{ code: "session_revoked", reconnect: false }]);
  }
  await expect(one.connect(near.token)).rejects.toMatchObject({ message: "session_expired" });
  await eventually(async () =>
    expect((await call("GET", "/v1/channels/chat:lobby/presence")).body.members).toEqual([]),
  );
  expect((await call("GET", "/v1/scheduled")).body.scheduled).toMatchObject([{ channel: "chat:lobby" }]);
  expect((await call("GET", "/v1/orders/own")).status).toBe(404);
  const { order, timeline } = (await call("GET", "/v1/orders/other")).body;
  expect(order.parties).toEqual({ customer: "bob" });
  expect(timeline.slice(1)).toMatchObject([
    { update: { parties: { courier: null } } },
    { update: { parties: { courier: null } } },
  ]);

  // What is left expires by itself (docs/users.md).
  await eventually(async () => {
    const kept = await keysNaming(commands, one.prefix);
    const bounded = kept.filter((key) => /:\{(cluster|operator):/.test(key));
    const ttls = kept.filter((key) => !bounded.includes(key)).map((key) => commands.ttl(key));

    expect(kept.map((key) => key.slice(one.prefix.length).replace(user, "USER")).toSorted()).toEqual([
      ":{ch:order%3Aother}:log",
      ":{ch:orders%3AUSER}:delivered:other",
      ":{ch:orders%3AUSER}:delivered:own",
      ":{ch:orders%3Abob}:log",
      ":{cluster:control}:log",
      ":{operator:all}:audit",
    ]);
    for (const ttl of await Promise.all(ttls)) expect(ttl).toBeGreaterThan(0);
  });
});

test("erasing again removes nothing, and a block that was erased no longer holds", async () => {
  const { one, call } = await startWithUser();
  await call("PUT", `/v1/users/${user}/block`, { reason: "spam" });

  expect((await call("GET", `/v1/users/${user}`)).body.block).toEqual({ reason: "spam" });
  expect((await call("DELETE", `/v1/users/${user}`)).body.removed).toMatchObject({ blocks: 1, sessions: 3 });
  const again = (await call("DELETE", `/v1/users/${user}`)).body.removed as object;

  expect(new Set(Object.values(again))).toEqual(new Set([0]));
  expect((await call("GET", `/v1/users/${user}`)).body).toEqual({
    userId: user,
    sessions: [],
    connections: [],
    scores: [],
    state: [],
    orders: [],
    scheduled: [],
  });
  const client = await one.connect((await one.signIn(user)).token);
  expect(await client.emitWithAck("orders:list", {})).toEqual({ ok: true, orders: [] });
});
