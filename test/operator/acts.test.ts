import { describe, expect, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { backend, startGateway } from "../support/gateway.ts";
import { eventually, freshPrefix, redisWorld } from "../support/world.ts";
import { heardOfAll } from "./heard-of-all.ts";

const admin = "admin-secret-of-at-least-thirty-two-bytes";
const viewer = "viewer-secret-of-at-least-thirty-two-bytes";
const file = {
  channels: { chat: { subscribe: "public", presence: true, state: true }, private: { subscribe: "granted" } },
  limits: {
    messages: { capacity: 3, refillPerSecond: 0.001, costs: { history: 1 } },
    handshakes: { capacity: 6, refillPerSecond: 0.001 },
  },
};

async function twoNodes() {
  const prefix = freshPrefix();
  const start = (nodeId: string) =>
    startGateway({ prefix, file, env: { NODE_ID: nodeId, OPERATORS: `ada:${admin}:admin,vic:${viewer}:viewer` } });
  const [n1, n2] = await Promise.all([start("n1"), start("n2")]);
  const as =
    (secret: string) =>
    (method: string, path: string, body?: object): Promise<{ status: number; body: any }> => {
      const call = () => backend(n1.url, secret).call(method, `/v1/operator/${path}`, body);
      return method === "GET" ? heardOfAll(call) : call();
    };
  await eventually(async () => expect((await as(admin)("GET", "overview")).body.nodes).toHaveLength(2));
  const acts = async () =>
    (await as(viewer)("GET", "audit")).body.entries.map(({ by, act, target, outcome }: any) => [
      by,
      act,
      target,
      outcome,
    ]);
  return { n1, n2, prefix, asAdmin: as(admin), asViewer: as(viewer), acts };
}

const all = { nodes: 2, acknowledged: 2 };

describe("an admin, over two nodes", () => {
  test("blocks a user, changes a session's rights and subscriptions, and asks a client; each with an audit line", async () => {
    const { n1, n2, asAdmin, acts } = await twoNodes();
    const login = await n1.signIn("alice", { data: { plan: "secret" } });
    const client = await n2.connect(login.token);
    client.on("confirm", (text: string, answer: (reply: string) => void) => answer(`${text}: yes`));
    const mayRead = () => client.emitWithAck("subscribe", { channel: "private:1" });
    expect(await mayRead()).toMatchObject({ ok: false });

    const changed = await asAdmin("PATCH", `sessions/${login.sessionId}`, { channels: { subscribe: ["private:1"] } });
    expect(changed.body).toMatchObject({ session: { channels: { subscribe: ["private:1"] } }, ...all });
    expect(JSON.stringify(changed.body)).not.toContain("secret");
    expect(await mayRead()).toMatchObject({ ok: true });

    const joined = await asAdmin("POST", "users/alice/subscribe", { channel: "private:2" });
    expect(joined.body).toEqual({ connections: 1, ...all });
    expect((await asAdmin("GET", "users/alice")).body.connections[0].channels).toContainEqual(
      expect.objectContaining({ channel: "private:2" }),
    );
    await asAdmin("POST", "users/alice/unsubscribe", { channel: "private:2" });
    await eventually(() => expect(client.events.map(([event]) => event)).toContain("unsubscribed"));

    const asked = await asAdmin("POST", "users/alice/request", { event: "confirm", args: ["sure"] });
    expect(asked.body.answers).toEqual([{ connectionId: client.id, args: ["sure: yes"] }]);

    const until = Date.now() + 3_600_000;
    const blocked = await asAdmin("PUT", "users/alice/block", { reason: "spam", until });
    expect(blocked.body).toEqual({ disconnected: 1, ...all });
    await eventually(() => expect(client.connected).toBe(false));
    expect((await asAdmin("GET", "users/alice")).body.block).toEqual({ reason: "spam", until });
    await expect(n1.connect(login.token)).rejects.toThrow("user_blocked");
    await asAdmin("DELETE", "users/alice/block");
    await n1.connect(login.token);

    expect(await acts()).toEqual([
      ["ada", "operatorUnblockUser", { userId: "alice" }, { disconnected: 0, ...all }],
      ["ada", "operatorBlockUser", { userId: "alice", reason: "spam", until }, { disconnected: 1, ...all }],
      ["ada", "operatorRequestUser", { userId: "alice", event: "confirm", args: 1 }, all],
      ["ada", "operatorUnsubscribeUser", { userId: "alice", channel: "private:2" }, { connections: 1, ...all }],
      ["ada", "operatorSubscribeUser", { userId: "alice", channel: "private:2" }, { connections: 1, ...all }],
      ["ada", "operatorUpdateSession", { sessionId: login.sessionId, channels: { subscribe: ["private:1"] } }, all],
    ]);
  });

  test("clears the limits of a user on all nodes, and of an address", async () => {
    const { n1, n2, asAdmin, acts } = await twoNodes();
    const { token } = await n1.signIn("alice");
    const [first, second] = [await n1.connect(token), await n2.connect(token)];
    const send = async (client: typeof first) =>
      (await client.emitWithAck("history", { channel: "chat:1" })).ok === true;
    const sent = async (client: typeof first) => (await client.emitWithAck("presence", { channel: "chat:1" })).ok;
    for (let taken = 0; taken < 3; taken++) expect(await sent(first)).toBe(true);
    expect([await sent(first), await sent(second), await send(second)]).toEqual([false, false, false]);
    const state = (await asAdmin("GET", "users/alice")).body.limits;
    expect(state.buckets).toContainEqual({ limiter: "messages", capacity: 3, left: 0 });
    expect(state.refused).toBe(3);

    const cleared = await asAdmin("POST", "limits/clear", { userId: "alice" });

    expect(cleared.body).toEqual({ cleared: 1, ...all });
    expect([await sent(first), await sent(second), await sent(first), await sent(second)]).toEqual([
      true,
      true,
      true,
      false,
    ]);

    // Six handshakes from this address in all, of which two were made.
    for (let made = 0; made < 4; made++) await n1.connect(token);
    await expect(n1.connect(token, { reconnection: false })).rejects.toThrow();
    expect((await asAdmin("POST", "limits/clear", { address: "127.0.0.1" })).body).toEqual({ cleared: 1, ...all });
    await n1.connect(token);
    expect(await acts()).toMatchObject([
      ["ada", "clearLimits", { address: "127.0.0.1" }, { cleared: 1 }],
      ["ada", "clearLimits", { userId: "alice" }, { cleared: 1 }],
    ]);
    expect((await asAdmin("POST", "limits/clear", {})).body).toMatchObject({ code: "bad_request" });
    expect((await asAdmin("POST", "limits/clear", { address: "here" })).body).toMatchObject({ field: "address" });
  });

  test("publishes to a channel, cancels what is scheduled, and deletes a history; pages go back", async () => {
    const { n1, prefix, asAdmin, asViewer, acts } = await twoNodes();
    const client = await n1.connect((await n1.signIn("alice")).token);
    await client.emitWithAck("subscribe", { channel: "chat:1" });
    await n1.call("POST", "/v1/channels/chat:1/state", { changes: [{ key: "topic", value: "secret" }] });
    const publications = Array.from({ length: 60 }, (_, index) => ({
      channel: "chat:1",
      event: "said",
      data: index + 1,
    }));
    await n1.call("POST", "/v1/publish/batch", { publications });
    const published = await asAdmin("POST", "publish", {
      channel: "chat:1",
      event: "notice",
      data: { text: "maintenance" },
    });
    expect(published.body).toMatchObject({ offset: 61, duplicate: false });

    const channel = (await asAdmin("GET", "channels/chat:1")).body;
    expect(channel.publications.map(({ offset }: any) => offset)).toEqual(
      Array.from({ length: 50 }, (_, at) => at + 12),
    );
    expect(channel.log).toEqual({ size: 61, oldestAt: channel.log.oldestAt });
    expect(Math.abs(channel.log.oldestAt - Date.now())).toBeLessThan(60_000);
    expect(channel.members).toEqual({ count: 1, userIds: ["alice"] });
    expect(channel.state.keys).toEqual([{ key: "topic", value: "secret", updatedAt: expect.any(Number) }]);
    const older = (await asViewer("GET", "channels/chat:1?before=12")).body;
    expect(older.publications.map(({ offset }: any) => offset)).toEqual(Array.from({ length: 11 }, (_, at) => at + 1));
    expect(JSON.stringify(older)).not.toContain("secret");
    // The first are gone, and the rest is shown.
    const { redis } = await redisWorld();
    await redis.connection("commands").xtrim(createKeys(prefix).channelLog("chat:1"), "MAXLEN", 55);
    const left = (await asViewer("GET", "channels/chat:1?before=12")).body;
    expect(left.publications.map(({ offset }: any) => offset)).toEqual([7, 8, 9, 10, 11]);

    const later = { channel: "chat:1", event: "later", data: "secret", delayMs: 3_600_000 };
    const { scheduleId } = (await n1.call("POST", "/v1/publish", later)).body;
    const listed = async (call: typeof asAdmin) => (await call("GET", "scheduled")).body.scheduled;
    expect(await listed(asAdmin)).toMatchObject([{ scheduleId, data: "secret" }]);
    expect((await listed(asViewer))[0]).not.toHaveProperty("data");
    expect((await asAdmin("DELETE", `scheduled/${scheduleId}`)).body).toEqual({ removed: true });
    expect((await asAdmin("DELETE", "channels/chat:1/history")).body).toEqual({ removed: 55 });
    expect((await asAdmin("GET", "channels/chat:1")).body.publications).toEqual([]);
    expect(await acts()).toEqual([
      ["ada", "operatorDeleteHistory", { channel: "chat:1" }, { removed: 55 }],
      ["ada", "operatorCancelScheduled", { scheduleId }, { removed: 1 }],
      ["ada", "operatorPublish", { channel: "chat:1", event: "notice" }, { offset: 61, duplicate: 0 }],
    ]);
  });
});

test("a viewer sees a user's orders, scores and limits, and may not act", async () => {
  const { n1, asViewer, acts } = await twoNodes();
  await n1.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "alice" }, data: "secret" });
  await n1.call("PUT", "/v1/leaderboards/daily/scores/alice", { score: 7, data: "secret" });

  const user = (await asViewer("GET", "users/alice")).body;
  const { scores } = (await asViewer("GET", "users/alice/scores")).body;

  expect(user.orders).toEqual([{ orderId: "o-1", status: "created", role: "customer", updatedAt: expect.any(Number) }]);
  expect(user.limits).toMatchObject({ refused: 0, buckets: [{ limiter: "messages", left: 3 }, {}, {}] });
  expect(scores).toMatchObject([{ board: "daily", rank: 1, score: 7 }]);
  expect(JSON.stringify([user, scores])).not.toContain("secret");
  const refused = [
    ["PUT", "users/alice/block"],
    ["DELETE", "users/alice/block"],
    ["PATCH", "sessions/s"],
    ["POST", "users/alice/subscribe"],
    ["POST", "users/alice/unsubscribe"],
    ["POST", "users/alice/request"],
    ["POST", "connections/c/request"],
    ["POST", "limits/clear"],
    ["POST", "publish"],
    ["DELETE", "channels/chat:1/history"],
    ["DELETE", "scheduled/s"],
  ] as const;
  for (const [method, path] of refused)
    expect([path, (await asViewer(method, path, method === "DELETE" ? undefined : {})).status]).toEqual([path, 403]);
  expect(await acts()).toEqual([]);
});
