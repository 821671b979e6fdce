import { expect, test } from "vitest";
import { eventually } from "../support/world.ts";
import { startGateway, told } from "../support/gateway.ts";

test("an order is followed by its parties alone, from a snapshot on, and illegal moves change nothing", async () => {
  const { call, connect, signIn } = await startGateway({ file: { orders: { reorderWindowMs: 60_000 } } });
  const [ada, eve] = [await connect((await signIn("ada")).token), await connect((await signIn("eve")).token)];
  await ada.emitWithAck("subscribe", { channel: "orders:ada" });

  expect(
    await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada", courier: "bob" } }),
  ).toMatchObject({ status: 201, body: { order: { orderId: "o-1", status: "created" } } });
  const snapshot = await ada.emitWithAck("subscribe", { channel: "order:o-1" });
  expect(snapshot).toMatchObject({
    ok: true,
    recovered: false,
    snapshot: { order: { orderId: "o-1", status: "created" }, timeline: [{ status: "created" }] },
  });
  for (const channel of ["order:o-1", "order:unknown"]) {
    expect(await eve.emitWithAck("subscribe", { channel })).toMatchObject({ ok: false, error: { code: "forbidden" } });
  }

  expect(await call("POST", "/v1/orders/o-1/events", { status: "confirmed", sequence: 1 })).toMatchObject({
    status: 200,
    body: { applied: true },
  });
  expect(await call("POST", "/v1/orders/o-1/events", { status: "confirmed", sequence: 1 })).toMatchObject({
    status: 200,
    body: { applied: false, reason: "duplicate" },
  });
  expect(await call("POST", "/v1/orders/o-1/events", { status: "delivered" })).toMatchObject({
    status: 409,
    body: { code: "illegal_transition" },
  });
  expect(await call("POST", "/v1/orders/o-1/events", { status: "cancelled", sequence: 9 })).toMatchObject({
    status: 202,
    body: { applied: false, reason: "held" },
  });

  await eventually(() => {
    const statuses = told(ada, "publication").filter(({ event }) => event === "order.status");
    expect(statuses.filter(({ channel }) => channel === "order:o-1").map(({ data }) => data.status)).toEqual([
      "confirmed",
    ]);
    expect(statuses.filter(({ channel }) => channel === "orders:ada").map(({ data }) => data.status)).toContain(
      "confirmed",
    );
  });
  expect(await ada.emitWithAck("order:get", { orderId: "o-1" })).toMatchObject({
    ok: true,
    order: { status: "confirmed" },
  });
  expect(told(eve, "publication")).toEqual([]);
});

test("a repeat of any write under one key answers as the first did, with another body it conflicts", async () => {
  const { call } = await startGateway();
  const once = { "idempotency-key": "k-1" };

  const [first, again] = [
    await call("POST", "/v1/sessions", { userId: "ada" }, once),
    await call("POST", "/v1/sessions", { userId: "ada" }, once),
  ];

  expect(again).toMatchObject({ status: 201, body: first.body });
  expect(await call("POST", "/v1/sessions", { userId: "bob" }, once)).toMatchObject({
    status: 409,
    body: { code: "conflict" },
  });
  expect((await call("GET", "/v1/users/ada/sessions")).body.sessions).toHaveLength(1);
});
