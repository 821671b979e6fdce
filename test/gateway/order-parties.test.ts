import { expect, test } from "vitest";
import { startGateway, told, type Client } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

/** Two nodes with one Redis; the parties are connected to the second. */
async function startNodes(file = {}) {
  const one = await startGateway({ file });
  const two = await startGateway({ prefix: one.prefix, file });
  const connect = async (userId: string) => two.connect((await two.signIn(userId)).token);
  return { call: one.call, connect };
}

const publications = (client: Client, channel: string) =>
  told(client, "publication").filter((publication) => publication.channel === channel);

test("a party that is added later follows the order, and one that is removed loses it on every node", async () => {
  const { call, connect } = await startNodes();
  const [ada, bob, eve] = [await connect("ada"), await connect("bob"), await connect("eve")];
  await bob.emitWithAck("subscribe", { channel: "orders:bob" });
  await eve.emitWithAck("subscribe", { channel: "orders:eve" });
  await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada", courier: "eve" }, data: { n: 1 } });
  for (const client of [ada, eve])
    expect(await client.emitWithAck("subscribe", { channel: "order:o-1" })).toMatchObject({ ok: true });
  expect(await bob.emitWithAck("subscribe", { channel: "order:o-1" })).toMatchObject({ ok: false });

  const updated = await call("PATCH", "/v1/orders/o-1", { parties: { courier: "bob" }, data: { n: 2 } });

  expect(updated).toMatchObject({
    status: 200,
    body: { order: { parties: { customer: "ada", courier: "bob" }, data: { n: 2 } }, nodes: 2, acknowledged: 2 },
  });
  await eventually(() =>
    expect(told(eve, "unsubscribed")).toMatchObject([{ channel: "order:o-1", code: "forbidden" }]),
  );
  expect(await eve.emitWithAck("order:get", { orderId: "o-1" })).toMatchObject({ error: { code: "forbidden" } });
  expect(await bob.emitWithAck("subscribe", { channel: "order:o-1" })).toMatchObject({
    ok: true,
    snapshot: { timeline: [{ status: "created" }, { update: { parties: { courier: "bob" }, data: { n: 2 } } }] },
  });
  expect(await bob.emitWithAck("orders:list", {})).toMatchObject({ ok: true, orders: [{ orderId: "o-1" }] });
  expect(await eve.emitWithAck("orders:list", {})).toMatchObject({ ok: true, orders: [] });

  await call("POST", "/v1/orders/o-1/events", { status: "confirmed" });
  await eventually(() => {
    expect(publications(ada, "order:o-1").map(({ event }) => event)).toEqual(["order.updated", "order.status"]);
    expect(publications(bob, "orders:bob").map(({ event }) => event)).toEqual(["order.updated", "order.status"]);
    expect(publications(eve, "orders:eve").map(({ event }) => event)).toEqual(["order.status", "order.removed"]);
  });
  expect(publications(eve, "order:o-1")).toEqual([]);
});

test("an update refuses what is wrong by the field, and a repeat changes nothing", async () => {
  const { call } = await startNodes();
  await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
  const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`helper-${n}`, `u-${n}`]));
  const patch = (body: object, id = "o-1") => call("PATCH", `/v1/orders/${id}`, body);

  expect(await patch({ parties: { customer: null } })).toMatchObject({ status: 400, body: { code: "bad_request" } });
  expect(await patch({ parties: many })).toMatchObject({ status: 400, body: { code: "bad_request" } });
  expect(await patch({ status: "confirmed" })).toMatchObject({ status: 400 });
  expect(await patch({ data: 1 }, "unknown")).toMatchObject({ status: 404 });
  const first = await patch({ parties: { courier: "bob" }, idempotencyKey: "k" });
  await patch({ parties: { courier: null } });
  expect(await patch({ parties: { courier: "bob" }, idempotencyKey: "k" })).toMatchObject({ body: first.body });
  const { body } = await call("GET", "/v1/orders/o-1");
  expect(body).toMatchObject({ order: { parties: { customer: "ada" } }, timeline: [{}, {}, {}] });
  expect(body.order.parties).toEqual({ customer: "ada" });
});

test("orders are listed by user and status in pages, and a deleted one is gone for everybody", async () => {
  const { call, connect } = await startNodes();
  const bob = await connect("bob");
  for (const n of [1, 2, 3, 4, 5])
    await call("POST", "/v1/orders", {
      orderId: `o-${n}`,
      parties: { customer: n % 2 === 0 ? "ada" : "eve", courier: "bob" },
    });
  for (const n of [2, 3]) await call("POST", `/v1/orders/o-${n}/events`, { status: "confirmed" });
  await bob.emitWithAck("subscribe", { channel: "order:o-2" });
  const idsOf = async (query: string) => {
    const { body } = await call("GET", `/v1/orders?${query}`);
    return body.orders.map(({ orderId }: { orderId: string }) => orderId);
  };

  expect(await idsOf("")).toEqual(["o-5", "o-4", "o-3", "o-2", "o-1"]);
  expect(await idsOf("user=ada")).toEqual(["o-4", "o-2"]);
  expect(await idsOf("user=ada&status=confirmed")).toEqual(["o-2"]);
  expect(await idsOf("status=created")).toEqual(["o-5", "o-4", "o-1"]);
  const pages: string[] = [];
  for (let cursor = ""; ;) {
    const { body } = await call("GET", `/v1/orders?user=bob&limit=2${cursor}`);
    pages.push(body.orders.map(({ orderId }: { orderId: string }) => orderId).join());
    if (body.cursor === undefined) break;
    cursor = `&cursor=${body.cursor}`;
  }
  expect(pages.filter((page) => page !== "")).toEqual(["o-5,o-4", "o-3,o-2", "o-1"]);
  expect(await call("GET", "/v1/orders?cursor=zz")).toMatchObject({ status: 400, body: { field: "cursor" } });

  expect(await call("DELETE", "/v1/orders/o-2")).toMatchObject({ status: 200, body: { removed: true } });
  expect(await call("DELETE", "/v1/orders/o-2")).toMatchObject({ status: 200, body: { removed: false } });
  await eventually(() =>
    expect(told(bob, "unsubscribed")).toMatchObject([{ channel: "order:o-2", code: "not_found" }]),
  );
  expect((await call("GET", "/v1/orders/o-2")).status).toBe(404);
  expect(await idsOf("user=ada")).toEqual(["o-4"]);
  expect(await idsOf("status=confirmed")).toEqual(["o-3"]);
  const { orders } = await bob.emitWithAck("orders:list", {});
  expect(orders.map(({ orderId }: { orderId: string }) => orderId)).toEqual(["o-3", "o-5", "o-4", "o-1"]);
  await call("POST", "/v1/orders", { orderId: "o-2", parties: { customer: "ada" } });
  expect(await idsOf("user=ada")).toEqual(["o-2", "o-4"]);
});
