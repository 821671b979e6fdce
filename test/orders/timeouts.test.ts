import { expect, test } from "vitest";
import { startOrdersNode } from "../support/orders-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const create = { orderId: "o-1", parties: { customer: "ada" } };
const timeouts = { created: { afterSeconds: 1, to: "cancelled" } };

test("an order that stays in a status is moved once, by any node, also if the node that saved it has died", async () => {
  const prefix = freshPrefix();
  const [first, second] = await Promise.all([1, 2].map(() => startOrdersNode({ prefix, timeouts })));
  for (const orderId of ["o-1", "o-2", "o-3"]) await first!.orders.create({ ...create, orderId });
  await first!.orders.apply("o-2", { status: "confirmed" });
  await first!.orders.remove("o-3");
  await first!.orders.create({ ...create, orderId: "o-3", status: "confirmed" });
  await first!.orders.stop();

  await eventually(async () => {
    const { order, timeline } = await second!.orders.get("o-1");
    expect(order.status).toBe("cancelled");
    expect(timeline.at(-1)).toMatchObject({ previousStatus: "created", sequence: 1, data: { reason: "timeout" } });
  });
  await eventually(async () =>
    expect(await second!.redis.connection("commands").zcard(second!.keys.dueOrders())).toBe(0),
  );

  expect((await second!.orders.get("o-1")).timeline).toHaveLength(2);
  expect((await second!.orders.get("o-2")).order.status).toBe("confirmed");
  expect((await second!.orders.get("o-3")).order.status).toBe("confirmed");
});

test("a timeline is bounded in bytes and keeps its last entry", async () => {
  const { orders } = await startOrdersNode({ prefix: freshPrefix(), timelineBytes: 1_000 });
  await orders.create(create);

  for (let n = 0; n < 20; n++) await orders.update("o-1", { data: "x".repeat(200) + n });
  const { timeline } = await orders.get("o-1");
  await orders.update("o-1", { data: "y".repeat(5_000) });

  expect(timeline.length).toBeGreaterThan(1);
  expect(JSON.stringify(timeline).length).toBeLessThan(1_100);
  expect(timeline.at(-1)).toMatchObject({ update: { data: "x".repeat(200) + "19" } });
  expect((await orders.get("o-1")).timeline).toHaveLength(1);
});
