import { describe, expect, test } from "vitest";
import { startHookReceiver, unreliable, type Delivery } from "../support/hook-receiver.ts";
import { promised, timed } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { eager, startWebhooksNode, status } from "../support/webhooks-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

describe("a receiver that fails 30 % and hangs 5 %", () => {
  test("gets every message at least once, and those about one order in order", async () => {
    const receiver = await startHookReceiver(unreliable(seeded(7), { failed: 0.3, hung: 0.05 }));
    const prefix = freshPrefix();
    const endpoints = [eager(receiver.url, { tries: 50, timeoutMs: 300 })];
    const nodes = await Promise.all([1, 2, 3].map(() => startWebhooksNode({ prefix, endpoints })));
    const orders = Array.from({ length: 40 }, (_, index) => `o-${index}`);

    for (let sequence = 0; sequence < 10; sequence += 1) {
      // Each status of an order through another node, as backends would.
      const told = orders.map((orderId, index) =>
        nodes[(index + sequence) % 3]!.webhooks.orderStatus(status(orderId, sequence)),
      );
      await Promise.all(told);
    }

    await eventually(() => expect(receiver.taken()).toHaveLength(400), 60_000);
    for (const orderId of orders) {
      const sequences = receiver.taken().filter(({ data }) => data["orderId"] === orderId);
      expect(sequences.map(({ data }) => data["sequence"])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
    expect(await nodes[0]!.letters.count()).toBe(0);
    expect(shareOf(receiver.deliveries, "failed")).toBeGreaterThan(0.2);
  });

  test("gets retries with the same id and the time of each attempt", async () => {
    let tries = 0;
    const receiver = await startHookReceiver(() => (++tries < 4 ? "failed" : "taken"));
    const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints: [eager(receiver.url)] });
    const begun = Math.floor(Date.now() / 1_000);

    await node.webhooks.orderStatus(status("o-1", 1));

    await eventually(() => expect(receiver.taken()).toHaveLength(1));
    const { deliveries } = receiver;
    expect(new Set(deliveries.map(({ id }) => id)).size).toBe(1);
    expect(new Set(deliveries.map(({ body }) => body)).size).toBe(1);
    for (const { headers } of deliveries) {
      expect(Number(headers["webhook-timestamp"])).toBeGreaterThanOrEqual(begun);
      expect(Number(headers["webhook-timestamp"])).toBeLessThanOrEqual(Date.now() / 1_000);
    }
  });

  test("gets one message about an order at a time", async () => {
    const receiver = await startHookReceiver(unreliable(seeded(3), { failed: 0, hung: 0.2 }));
    const prefix = freshPrefix();
    const endpoints = [eager(receiver.url, { tries: 50, timeoutMs: 100 })];
    const nodes = await Promise.all([1, 2].map(() => startWebhooksNode({ prefix, endpoints })));

    await Promise.all(nodes.map(({ webhooks }) => webhooks.orderStatus(status("o-1", 0))));
    for (let sequence = 1; sequence < 30; sequence += 1) {
      await nodes[sequence % 2]!.webhooks.orderStatus(status("o-1", sequence));
    }

    await eventually(() => expect(receiver.taken()).toHaveLength(30), 60_000);
    const sequences = receiver.deliveries.map(({ data }) => data["sequence"] as number);
    // Whatever came between, none was sent before the one ahead of it was taken.
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
  });
});

test("an order whose messages always fail delays no other order", async () => {
  const receiver = await startHookReceiver(({ data }) => (data["orderId"] === "cursed" ? "failed" : "taken"));
  const endpoints = [eager(receiver.url, { tries: 100, longestPauseMs: 60_000 })];
  const { webhooks } = await startWebhooksNode({ prefix: freshPrefix(), endpoints });

  await webhooks.orderStatus(status("cursed", 1));
  for (let index = 0; index < 50; index += 1) await webhooks.orderStatus(status(`o-${index}`, 1));

  await eventually(() => expect(receiver.taken()).toHaveLength(50));
});

test("a hanging receiver delays no other receiver", async () => {
  const [slow, quick] = await Promise.all([startHookReceiver(() => "hung"), startHookReceiver()]);
  const endpoints = [eager(slow.url, { timeoutMs: 60_000 }), eager(quick.url)];
  const { webhooks } = await startWebhooksNode({ prefix: freshPrefix(), endpoints });

  await Promise.all(Array.from({ length: 200 }, (_, index) => webhooks.orderStatus(status(`o-${index}`, 1))));

  await eventually(() => expect(quick.taken()).toHaveLength(200));
  expect(slow.taken()).toHaveLength(0);
});

test(
  "a node that stops aborts hanging requests, and another node delivers; the abort does not count as an attempt",
  timed,
  async () => {
    const receiver = await startHookReceiver(() => "hung");
    const prefix = freshPrefix();
    const endpoints = [eager(receiver.url, { timeoutMs: 60_000, tries: 1 })];
    const leaving = await startWebhooksNode({ prefix, endpoints });
    await leaving.webhooks.orderStatus(status("o-1", 1));
    await eventually(() => expect(receiver.deliveries).toHaveLength(1));
    receiver.behave(() => "taken");

    const begun = performance.now();
    await leaving.stop();
    const stopMs = performance.now() - begun;
    const living = await startWebhooksNode({ prefix, endpoints });

    await eventually(() => expect(receiver.taken()).toHaveLength(1));
    expect(stopMs).toBeLessThan(promised(3_000));
    expect(await living.letters.count()).toBe(0);
  },
);

const shareOf = (deliveries: readonly Delivery[], outcome: Delivery["outcome"]): number =>
  deliveries.filter((delivery) => delivery.outcome === outcome).length / deliveries.length;
