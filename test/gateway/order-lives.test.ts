import { describe, expect, inject, onTestFinished, test } from "vitest";
import { Redis } from "ioredis";
import { createKeys } from "../../src/redis/keys.ts";
import { startGateway, told, type Client } from "../support/gateway.ts";
import { timed, within } from "../support/promised.ts";
import { eventually } from "../support/world.ts";

const statusesOf = (client: Client): unknown[] =>
  told(client, "publication")
    .filter(({ event }) => event === "order.status")
    .map(({ data }) => data.status);

describe("a subscription of an order", () => {
  test("ends with the order's life, and its reader is told", async () => {
    const { call, connect, signIn } = await startGateway({ file: { orders: { lifeSeconds: 2 } } });
    const ada = await connect((await signIn("ada")).token);
    let attempts = 0;
    const channel = await within(2_000, async () => {
      const orderId = `o-${(attempts += 1)}`;
      await call("POST", "/v1/orders", { orderId, parties: { customer: "ada" } });
      expect(await ada.emitWithAck("subscribe", { channel: `order:${orderId}` })).toMatchObject({ ok: true });
      return `order:${orderId}`;
    });

    await eventually(() => expect(told(ada, "unsubscribed")).toMatchObject([{ channel, code: "not_found" }]));
  });

  test("outlives the end that the order would have had without its last event", timed, async () => {
    const file = { orders: { lifeSeconds: 3, transitions: { on: ["on"] } } };
    const { call, connect, signIn } = await startGateway({ file });
    const ada = await connect((await signIn("ada")).token);
    await call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada" } });
    const { snapshot } = await ada.emitWithAck("subscribe", { channel: "order:o-1" });
    const { createdAt } = snapshot.order;

    let now = createdAt;
    while (now < createdAt + 4_500) {
      const { status, body } = await call("POST", "/v1/orders/o-1/events", { status: "on" });
      expect(status).toBe(200);
      now = body.order.updatedAt;
      await eventually(() => expect(statusesOf(ada)).toHaveLength(body.order.sequence));
    }

    expect(told(ada, "unsubscribed")).toEqual([]);
  });

  test("hears nothing of a later order of the same id, on any node, however soon that begins", async () => {
    const one = await startGateway();
    const two = await startGateway({ prefix: one.prefix });
    const redis = new Redis(inject("redisUrl"));
    onTestFinished(() => redis.disconnect());
    const keys = createKeys(one.prefix);
    const ada = await one.connect((await one.signIn("ada")).token);
    const bob = await two.connect((await two.signIn("bob")).token);
    const eve = await two.connect((await two.signIn("eve")).token);
    await one.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "ada", courier: "bob" } });
    for (const party of [ada, bob]) await party.emitWithAck("subscribe", { channel: "order:o-1" });

    // Its life is over.
    await redis.del(keys.orderState("o-1"), keys.orderParties("o-1"), keys.orderTimeline("o-1"));
    await one.call("POST", "/v1/orders", { orderId: "o-1", parties: { customer: "eve" } });
    expect(await eve.emitWithAck("subscribe", { channel: "order:o-1" })).toMatchObject({ ok: true });
    await one.call("POST", "/v1/orders/o-1/events", { status: "confirmed" });

    await eventually(() => expect(statusesOf(eve)).toEqual(["confirmed"]));
    for (const party of [ada, bob]) {
      await eventually(() =>
        expect(told(party, "unsubscribed")).toMatchObject([{ channel: "order:o-1", code: "not_found" }]),
      );
      expect(statusesOf(party)).toEqual([]);
    }
  });
});
