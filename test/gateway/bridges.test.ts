import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { startGateway, told, type Client } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/** Two nodes that hear pub/sub channels of their own; what they do with them is what the default bridges do. */
async function startNodes() {
  const prefix = freshPrefix();
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  const { bridges } = loadConfig({ NODE_ENV: "test" });
  const file = { bridges: bridges.map((bridge) => ({ ...bridge, pattern: `${prefix}:${bridge.pattern}` })) };
  const one = await startGateway({ prefix, file });
  const two = await startGateway({ prefix, file });
  const publish = (channel: string, message: unknown) =>
    redis.publish(`${prefix}:${channel}`, typeof message === "string" ? message : JSON.stringify(message));
  const deadLetters = async () =>
    (await redis.xrange(createKeys(prefix).deadCommands(), "-", "+")).map(([, fields]) => fields[3]);
  return { one, two, publish, deadLetters };
}

const toldOf = (client: Client, name: string): unknown[] =>
  told(client, "publication")
    .filter(({ channel }) => channel === name)
    .map(({ event, data }) => [event, data.status ?? data.n]);

test("a status that is published on Redis moves the order once, over all nodes, and tells what it is", async () => {
  const { one, two, publish, deadLetters } = await startNodes();
  const ada = await two.connect((await two.signIn("ada")).token);
  await one.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
  await ada.emitWithAck("subscribe", { channel: "order:o-1" });

  await publish("order:status", { orderId: "o-1", status: "confirmed", by: "the kitchen" });
  await publish("order:status", { id: 7, orderId: "o-1", status: "preparing" });
  await publish("order:status", { id: 8, orderId: "o-1", status: "delivered" });
  await publish("order:status", { id: 9, orderId: "o-1", status: "ready" });
  await publish("order:status", { id: 9, orderId: "o-1", status: "ready" });

  await eventually(() =>
    expect(toldOf(ada, "order:o-1")).toEqual([
      ["order.status", "confirmed"],
      ["order.status", "preparing"],
      ["order.status", "ready"],
    ]),
  );
  await eventually(async () => expect(await deadLetters()).toEqual(["illegal_transition"]));
  expect((await one.call("GET", "/v1/orders/o-1")).body).toMatchObject({
    order: { status: "ready", sequence: 3 },
    timeline: [{}, { status: "confirmed", data: { by: "the kitchen" } }, {}, {}],
  });
});

test("a status of an order that never was is a dead letter", async () => {
  const { publish, deadLetters } = await startNodes();

  await publish("order:status", { orderId: "never", status: "confirmed" });

  await eventually(async () => expect(await deadLetters()).toEqual(["not_found"]));
});

test("new orders go to their parties and to the staff, low stock to the staff alone", async () => {
  const { one, two, publish } = await startNodes();
  const ada = await one.connect((await one.signIn("ada")).token);
  const clerk = await two.connect((await two.signIn("clerk", { roles: ["staff"] })).token);
  await ada.emitWithAck("subscribe", { channel: "orders:ada" });
  for (const channel of ["staff:orders", "staff:stock"]) {
    expect(await clerk.emitWithAck("subscribe", { channel })).toMatchObject({ ok: true });
    expect(await ada.emitWithAck("subscribe", { channel })).toMatchObject({ error: { code: "forbidden" } });
  }
  expect(await clerk.emitWithAck("subscribe", { channel: "orders:ada" })).toMatchObject({ ok: false });

  await publish("order:new", { id: "n-1", orderId: "o-9", parties: { customer: "ada", courier: "bob" }, n: 1 });
  await publish("order:new", { id: "n-2", orderId: "o-10", userId: "ada", n: 2 });
  await publish("product:low-stock", { productId: "p", n: 3 });

  const both = [
    ["order.new", 1],
    ["order.new", 2],
  ];
  await eventually(() => {
    expect(toldOf(ada, "orders:ada")).toEqual(both);
    expect(toldOf(clerk, "staff:orders")).toEqual(both);
    expect(toldOf(clerk, "staff:stock")).toEqual([["product.low-stock", 3]]);
  });
});
