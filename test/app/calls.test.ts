import { describe, expect, test } from "vitest";
import type { Gateway } from "../../src/index.ts";
import { eventually } from "../support/world.ts";
import { chatKinds, embed, join } from "./support.ts";

type Acknowledge = (...answer: unknown[]) => void;

async function start(setUp: (gateway: Gateway) => void = () => undefined): Promise<Gateway> {
  const gateway = await embed({
    channels: { chat: { ...chatKinds.chat, presence: true } },
    config: { leaderboards: { daily: {} }, limits: { custom: { sms: { capacity: 2, refillPerSecond: 0.001 } } } },
  });
  setUp(gateway);
  await gateway.listen(0, "127.0.0.1");
  return gateway;
}

describe("the backend API as functions", () => {
  test("publishes, later too, and reads channels", async () => {
    const gateway = await start();
    await gateway.publish({ channel: "chat:1", event: "said", data: { n: 1 } });
    const { offset } = (await gateway.publish({ channel: "chat:1", event: "said", data: { n: 2 } })) as {
      offset: number;
    };

    const { publications, epoch } = await gateway.channels.history("chat:1");
    const later = await gateway.channels.history("chat:1", { since: { epoch, offset: 1 }, limit: 10 });
    expect([offset, publications.length, later.publications.map(({ data }) => data)]).toEqual([2, 2, [{ n: 2 }]]);

    const { scheduleId } = await gateway.publish({ channel: "chat:1", event: "said", data: 3, delayMs: 3_600_000 });
    expect((await gateway.scheduled.list()).scheduled).toMatchObject([{ scheduleId, data: 3 }]);
    expect(await gateway.scheduled.cancel(scheduleId)).toEqual({ removed: true });
    expect((await gateway.channels.presence("chat:1")).count).toBe(0);
    expect(await gateway.channels.clearHistory("chat:1")).toEqual({ removed: 2 });
  });

  test("moves orders", async () => {
    const { orders } = await start();

    const { order } = await orders.create({ orderId: "o-1", parties: { customer: "ann" } });
    await orders.update("o-1", { parties: { courier: "bob" } });
    const moved = await orders.event({ orderId: "o-1", status: "confirmed", idempotencyKey: "k" });
    const again = await orders.event({ orderId: "o-1", status: "confirmed", idempotencyKey: "k" });
    await orders.signal({ orderId: "o-1", name: "eta", data: 5 });

    expect([order.status, moved.order.status, again]).toEqual(["created", "confirmed", moved]);
    expect((await orders.get("o-1")).timeline.length).toBeGreaterThan(1);
    expect((await orders.list({ user: "bob" })).orders.map(({ orderId }) => orderId)).toEqual(["o-1"]);
    expect(await orders.remove("o-1")).toEqual({ removed: true });
  });

  test("counts scores", async () => {
    const { leaderboards } = await start();

    await leaderboards.submit({ board: "daily", member: "ann", score: 3 });
    await leaderboards.submitScores("daily", [
      { member: "bob", score: 5 },
      { member: "cem", score: 1 },
    ]);

    expect((await leaderboards.top("daily", { limit: 2 })).entries.map(({ member }) => member)).toEqual(["bob", "ann"]);
    expect((await leaderboards.around("daily", "ann", { radius: 1 })).entry?.rank).toBe(2);
    expect((await leaderboards.ranks("daily", ["cem"])).entries).toMatchObject([{ member: "cem", rank: 3 }]);
    expect((await leaderboards.list()).boards).toMatchObject([{ board: "daily" }]);
    expect(await leaderboards.removeMember("daily", "cem")).toEqual({ removed: true });
    expect(await leaderboards.remove("daily")).toEqual({ removed: true });
  });

  test("changes sessions, users and their rights", async () => {
    const { sessions, users, tokens, ...gateway } = await start();
    const { sessionId, token } = await sessions.create({ userId: "ann", roles: ["staff"], data: { device: "tv" } });
    const other = await sessions.create({ userId: "ann" });

    await sessions.update(sessionId, { roles: ["boss"] });
    expect((await sessions.get(sessionId)).session).toMatchObject({ roles: ["boss"], data: { device: "tv" } });
    expect((await sessions.refresh(sessionId, { ttlSeconds: 60 })).expiresAt).toBeGreaterThan(0);
    expect((await sessions.issueToken(sessionId)).token).toEqual(expect.any(String));
    expect((await sessions.list("ann")).sessions).toHaveLength(2);
    expect(await users.subscribe("ann", "chat:1")).toMatchObject({ nodes: 1, acknowledged: 1 });
    expect(await users.unsubscribe("ann", "chat:1")).toMatchObject({ nodes: 1, acknowledged: 1 });
    expect((await users.connections("ann")).connections).toEqual([]);
    expect(await tokens.revoke({ token: token ?? "" })).toMatchObject({ revoked: 1 });
    expect(await sessions.revoke(other.sessionId)).toMatchObject({ revoked: 1, nodes: 1, acknowledged: 1 });
    expect(await users.block("ann", { reason: "spam" })).toMatchObject({ nodes: 1 });
    await users.unblock("ann");
    expect(await users.disconnect("ann", { code: "user_blocked" })).toMatchObject({ disconnected: 0 });
    expect(await users.revokeSessions("ann")).toMatchObject({ revoked: 1 });
    expect((await gateway.channels.list()).channels).toEqual([]);
  });

  test("takes from the exact limits", async () => {
    const { limits } = await start();

    const taken = [await limits.take("sms", { key: "ann", cost: 2 }), await limits.take("sms", { key: "ann" })];

    expect(taken.map(({ allowed }) => allowed)).toEqual([true, false]);
  });

  test("is refused as unavailable without Redis", async () => {
    const gateway = await start();
    const fails = async (call: Promise<unknown>) => expect(call).rejects.toMatchObject({ code: "unavailable" });

    await gateway.close();

    await fails(gateway.publish({ channel: "chat:lobby", event: "x", data: 1 }));
    await fails(gateway.sessions.create({ userId: "ann" }));
    await fails(gateway.channels.history("chat:lobby", {}));
    await expect(gateway.publish(undefined as never)).rejects.toMatchObject({ code: "bad_request" });
  });

  test("refuses as over HTTP, with the field, and has its effect once", async () => {
    const gateway = await start();

    await expect(gateway.publish({ channel: "", event: "x", data: 1 })).rejects.toMatchObject({
      code: "bad_request",
      field: "channel",
    });
    await expect(gateway.orders.event({ orderId: "o-1" } as never)).rejects.toMatchObject({ field: "status" });
    await expect(gateway.sessions.get("nobody's")).rejects.toMatchObject({ code: "not_found" });
    await expect(gateway.users.request("ann", { event: "ready" })).rejects.toMatchObject({ field: "event" });

    const login = { userId: "ann", idempotencyKey: "login-1" };
    const [first, again] = [await gateway.sessions.create(login), await gateway.sessions.create(login)];
    expect(again.sessionId).toBe(first.sessionId);
  });
});

describe("requests of an app", () => {
  test("are answered by clients, binary in both directions, and name the silent ones", async () => {
    const gateway = await start();
    const [ann, mute] = await Promise.all([join(gateway, "ann"), join(gateway, "ann")]);
    ann.on("sign", (key: Buffer, done: Acknowledge) => done(Buffer.concat([key, Buffer.from([3])])));

    const all = await gateway.users.request("ann", { event: "sign", args: [Buffer.from([1, 2])], timeoutMs: 4_000 });
    const one = await gateway.connections.request(String(ann.id), { event: "sign", args: [Buffer.from([1])] });

    expect(all.answers).toEqual([{ connectionId: ann.id, args: [Buffer.from([1, 2, 3])] }]);
    expect(all).toMatchObject({ silent: [{ connectionId: mute.id }], nodes: 1, acknowledged: 1 });
    expect(one.answers[0]?.args).toEqual([Buffer.from([1, 3])]);
  });

  test("of a handler ask its own client, or those of a user", async () => {
    const gateway = await start((own) =>
      own.on("delete", async ({ request }, id: number) => {
        const [mine] = (await request({ event: "sure?", args: [id] })).answers;
        const { answers } = await request({ userId: "boss", event: "may?", args: [id], wait: "first" });
        return [mine?.args[0], answers[0]?.args[0]];
      }),
    );
    const [ann, boss] = await Promise.all([join(gateway, "ann"), join(gateway, "boss")]);
    ann.on("sure?", (id: number, done: Acknowledge) => done(`yes ${id}`));
    boss.on("may?", (id: number, done: Acknowledge) => done(`go ${id}`));

    await eventually(async () => expect(await ann.emitWithAck("delete", 7)).toEqual(["yes 7", "go 7"]));
  });
});
