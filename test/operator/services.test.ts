import { expect, test } from "vitest";
import { backend, startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const admin = "admin-secret-of-at-least-thirty-two-bytes";
const viewer = "viewer-secret-of-at-least-thirty-two-bytes";
const env = { NODE_ID: "n1", OPERATORS: `ada:${admin}:admin,vic:${viewer}:viewer` };

test("an order shows what is held and why, what is due, and an admin moves it and changes its parties", async () => {
  const node = await startGateway({ env, file: { orders: { reorderWindowMs: 600_000 } } });
  const asAdmin = backend(node.url, admin).call;
  const asViewer = backend(node.url, viewer).call;
  const parties = { customer: "alice", courier: "bob" };
  await node.call("POST", "/v1/orders", { orderId: "o-1", parties, data: { secret: "gift" } });
  await node.call("POST", "/v1/orders/o-1/events", { status: "preparing", sequence: 2, data: { note: "early" } });
  const read = async () => (await asAdmin("GET", "/v1/operator/orders/o-1")).body;

  const order = await read();

  expect(order).toMatchObject({
    order: { orderId: "o-1", parties, sequence: 0, data: { secret: "gift" } },
    held: [{ sequence: 2, status: "preparing", waitsFor: 1, until: expect.any(Number) }],
    outbox: [],
    checks: [{ kind: "order", dueAt: expect.any(Number) }],
  });
  const masked = await asViewer("GET", "/v1/operator/orders/o-1");
  expect(masked.body.held).toHaveLength(1);
  expect(JSON.stringify(masked.body)).not.toMatch(/gift|early/);

  // Acts
  expect(
    (await asAdmin("POST", "/v1/operator/orders/o-1/events", { status: "confirmed", sequence: 1 })).body,
  ).toMatchObject({
    applied: true,
  });
  await eventually(async () => expect((await read()).order.status).toBe("preparing"));
  const courier = await node.connect((await node.signIn("bob")).token);
  await courier.emitWithAck("subscribe", { channel: "order:o-1" });
  const changed = await asAdmin("POST", "/v1/operator/orders/o-1/parties", {
    parties: { courier: null, helper: "carol" },
  });
  expect(changed.body).toEqual({ nodes: 1, acknowledged: 1 });
  await eventually(() => expect(courier.events.map(([event]) => event)).toContain("unsubscribed"));
  expect((await read()).order.parties).toEqual({ customer: "alice", helper: "carol" });
  const audit = (await asAdmin("GET", "/v1/operator/audit")).body.entries;
  expect(audit.map(({ act, target }: any) => [act, target])).toEqual([
    ["operatorOrderParties", { orderId: "o-1", parties: { courier: null, helper: "carol" } }],
    ["operatorOrderEvent", { orderId: "o-1", status: "confirmed", sequence: 1 }],
  ]);

  // Refused
  const refused = async (path: string, body: object) =>
    (await asAdmin("POST", `/v1/operator/orders/${path}`, body)).body;
  expect(await refused("o-1/events", { status: "confirmed", more: 1 })).toMatchObject({
    code: "bad_request",
    field: "more",
  });
  expect(await refused("o-1/parties", { parties: {}, data: 1 })).toMatchObject({ code: "bad_request", field: "data" });
  expect(await refused("o-1/events", { status: "confirmed" })).toMatchObject({ code: "illegal_transition" });
  expect(await refused("none/events", { status: "confirmed" })).toMatchObject({ code: "not_found" });
  expect((await asViewer("POST", "/v1/operator/orders/o-1/events", { status: "ready" })).status).toBe(403);
  expect((await asAdmin("GET", "/v1/operator/orders/none")).status).toBe(404);
});

test("a board shows its entries and seasons, and an admin removes a member", async () => {
  const node = await startGateway({ env, file: { leaderboards: { daily: {} } } });
  const asAdmin = backend(node.url, admin).call;
  const asViewer = backend(node.url, viewer).call;
  await node.call("PUT", "/v1/leaderboards/daily/scores/alice", { score: 10, data: { nick: "Al" } });
  await node.call("PUT", "/v1/leaderboards/daily/scores/bob", { score: 20 });
  const read = async (call = asAdmin) => (await call("GET", "/v1/operator/leaderboards/daily")).body;

  expect(await read()).toMatchObject({
    board: "daily",
    total: 2,
    entries: [
      { rank: 1, member: "bob" },
      { rank: 2, member: "alice", data: { nick: "Al" } },
    ],
    seasons: [],
  });
  expect((await read(asViewer)).entries[1]).not.toHaveProperty("data");
  expect((await asViewer("DELETE", "/v1/operator/leaderboards/daily/members/bob")).status).toBe(403);
  expect((await asAdmin("DELETE", "/v1/operator/leaderboards/daily/members/bob")).body).toEqual({ removed: true });
  expect((await read()).entries).toMatchObject([{ rank: 1, member: "alice" }]);
  expect((await asAdmin("GET", "/v1/operator/leaderboards/unknown")).status).toBe(404);
});
