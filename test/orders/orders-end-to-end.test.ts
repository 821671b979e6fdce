import { Redis } from "ioredis";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { createPublisher, overHttp, overStream } from "../../src/publisher/publisher.ts";
import { apiKey, startGateway, told, type Client, type TestGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

/** A Redis client, as a backend has one. */
function backendRedis(): Redis {
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  return redis;
}

const file = { orders: { transitions: { created: ["confirmed"], confirmed: ["done"], done: [] } } };
const order = { orderId: "o-1", parties: { customer: "ada", courier: "bob" } };

async function connectAs(node: TestGateway, userId: string): Promise<Client> {
  return node.connect((await node.signIn(userId)).token);
}

const ask = (client: Client, event: string, message: object) => client.emitWithAck(event, message);
const statuses = (client: Client, channel: string) =>
  told(client, "publication")
    .filter((publication) => publication.channel === channel && publication.event === "order.status")
    .map(({ data }) => data.status);

describe("an order, end to end", () => {
  test("its parties on any node get a snapshot, then every status once, from every interface", async () => {
    const near = await startGateway({ file });
    const far = await startGateway({ file, prefix: near.prefix });
    await near.call("POST", "/v1/orders", order);
    const [ada, bob] = [await connectAs(near, "ada"), await connectAs(far, "bob")];

    const answers = await Promise.all([
      ask(ada, "subscribe", { channel: "order:o-1" }),
      ask(bob, "subscribe", { channel: "order:o-1" }),
      ask(ada, "subscribe", { channel: "orders:ada" }),
    ]);
    const overRedis = createPublisher(overStream({ redis: backendRedis(), prefix: near.prefix }));
    await overRedis.orderEvent({ orderId: "o-1", status: "done", sequence: 2 });
    await overRedis.orderSignal({ orderId: "o-1", name: "place", data: { lat: 1 } });
    await eventually(async () =>
      expect((await far.call("GET", "/v1/orders/o-1")).body.order.signals.place.data).toEqual({ lat: 1 }),
    );
    await createPublisher(overHttp({ url: far.url, apiKey })).orderEvent({
      orderId: "o-1",
      status: "confirmed",
      sequence: 1,
    });

    expect(answers.map(({ ok, offset }) => [ok, offset])).toEqual([
      [true, 1],
      [true, 1],
      [true, 1],
    ]);
    expect(answers[0].snapshot).toMatchObject({ order: { status: "created" }, timeline: [{ status: "created" }] });
    expect(answers[2].snapshot).toMatchObject({ orders: [{ orderId: "o-1", status: "created" }] });
    for (const [client, channel] of [
      [ada, "order:o-1"],
      [bob, "order:o-1"],
      [ada, "orders:ada"],
    ] as const) {
      await eventually(() => expect(statuses(client, channel)).toEqual(["confirmed", "done"]));
    }
    expect(told(bob, "publication").filter(({ event }) => event === "order.signal")).toHaveLength(1);
    const later = await ask(ada, "subscribe", { channel: "orders:ada" });
    expect(later.snapshot).toEqual({ orders: [] });
  });

  test("a user who is not a party gets the same response for an existing and an unknown order", async () => {
    const node = await startGateway({ file });
    await node.call("POST", "/v1/orders", order);
    const eve = await connectAs(node, "eve");

    for (const [event, field] of [
      ["subscribe", (id: string) => ({ channel: `order:${id}` })],
      ["history", (id: string) => ({ channel: `order:${id}` })],
      ["order:get", (id: string) => ({ orderId: id })],
    ] as const) {
      const [foreign, none] = [await ask(eve, event, field("o-1")), await ask(eve, event, field("o-2"))];
      expect(foreign).toEqual(none);
      expect(foreign.error.code).toBe("forbidden");
    }
    expect((await ask(eve, "subscribe", { channel: "orders:ada" })).error.code).toBe("forbidden");
    expect(await ask(await connectAs(node, "bob"), "order:get", { orderId: "o-1" })).toMatchObject({ ok: true });
  });
});

test("Redis pub/sub messages reach the order's parties: once with an id, live without", async () => {
  const name = `orders-${Math.random()}`;
  const bridges = [{ pattern: `${name}:*`, channel: "order:{orderId}", event: "order.note" }];
  const near = await startGateway({ file: { ...file, bridges } });
  const far = await startGateway({ file: { ...file, bridges }, prefix: near.prefix });
  await near.call("POST", "/v1/orders", order);
  const clients = [await connectAs(near, "ada"), await connectAs(far, "bob")];
  for (const client of clients) await ask(client, "subscribe", { channel: "order:o-1" });
  const redis = backendRedis();

  await redis.publish(`${name}:status`, JSON.stringify({ id: "m-1", orderId: "o-1" }));
  await redis.publish(`${name}:status`, JSON.stringify({ orderId: "o-1" }));

  for (const client of clients) {
    await eventually(() => expect(told(client, "publication")).toHaveLength(2));
    expect(told(client, "publication").filter(({ offset }) => offset !== undefined)).toHaveLength(1);
  }
});

test("the stream revokes sessions, disconnects users and submits scores", async () => {
  const node = await startGateway({ file: { leaderboards: { "*": { mode: "increment" } } } });
  const { token, sessionId } = await node.signIn("ada");
  const [ada, bob] = [await node.connect(token), await connectAs(node, "bob")];
  const publisher = createPublisher(overStream({ redis: backendRedis(), prefix: node.prefix }));

  await publisher.submitScore({ board: "b", member: "ada", score: 5, data: { name: "Ada" } });
  await publisher.revokeSession({ sessionId });
  await publisher.disconnectUser({ userId: "bob", message: "Bye." });

  await eventually(() => expect(told(ada, "closing")[0]).toMatchObject({ code: "session_revoked" }));
  await eventually(() => expect(told(bob, "closing")[0]).toMatchObject({ message: "Bye." }));
  await eventually(async () =>
    expect((await node.call("GET", "/v1/leaderboards/b")).body.entries[0]).toMatchObject({ member: "ada", score: 5 }),
  );
});
