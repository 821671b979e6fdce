import { expect, test } from "vitest";
import { createTransitionTable } from "../../src/orders/transitions.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import type { OrderWithTimeline, TimelineEntry } from "../../src/protocol/order.ts";
import { transitions } from "../support/order-stories.ts";
import { startOrdersNode } from "../support/orders-node.ts";
import { within } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const create = { orderId: "o-1", parties: { customer: "ada" } };
const timeouts = { created: { afterSeconds: 2, to: "cancelled" } };

test("an order that stays in a status is moved once, by any node, also if the node that saved it has died", async () => {
  const second = await within(timeouts.created.afterSeconds * 1_000, async () => {
    const prefix = freshPrefix();
    const [first, living] = await Promise.all([1, 2].map(() => startOrdersNode({ prefix, timeouts })));
    for (const orderId of ["o-1", "o-2", "o-3"]) await first!.orders.create({ ...create, orderId });
    await first!.orders.apply("o-2", { status: "confirmed" });
    await first!.orders.remove("o-3");
    await first!.orders.create({ ...create, orderId: "o-3", status: "confirmed" });
    await first!.orders.stop();
    return living;
  });

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

test("a change that had to be repeated later times out by the time at which it was saved", async () => {
  const { orders, redis, keys } = await startOrdersNode({
    prefix: freshPrefix(),
    timeouts: { confirmed: { afterSeconds: 900, to: "cancelled" } },
  });
  const commands = redis.connection("commands");
  await orders.create(create);
  // The order cannot be saved, but its checks are.
  const meta = keys.channelMeta("order:o-1");
  await commands.rename(meta, `${meta}:aside`);
  await commands.set(meta, "no position");
  await expect(orders.apply("o-1", { status: "confirmed" })).rejects.toThrow();
  await commands.rename(`${meta}:aside`, meta);
  const [early] = (await commands.zrange(keys.dueOrders(), "0", "-1")).filter((check) => check.includes("timeout"));

  await orders.apply("o-1", { status: "confirmed" });
  await commands.zadd(keys.dueOrders(), 0, early!);

  await eventually(async () => expect(await commands.zscore(keys.dueOrders(), early!)).toBeNull());
  expect((await orders.get("o-1")).order.status).toBe("confirmed");
  const left = (await commands.zrange(keys.dueOrders(), "0", "-1")).filter((check) => check.includes("timeout"));
  expect(left).toHaveLength(1);
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

test("with random moves, updates and deletions every order leaves a status in time, once, and never too early", async () => {
  const prefix = freshPrefix();
  const limited = {
    created: { afterSeconds: 0.4, to: "confirmed" },
    confirmed: { afterSeconds: 0.6, to: "cancelled" },
    cooking: { afterSeconds: 0.5, to: "ready" },
    ready: { afterSeconds: 0.3, to: "cooking" },
  };
  const nodes = await Promise.all([1, 2].map(() => startOrdersNode({ prefix, timeouts: limited })));
  const random = seeded(5);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const ids = Array.from({ length: 25 }, (_, n) => `o-${n}`);
  const exists = new Set<string>();

  for (let act = 0; act < 220; act += 1) {
    const { orders } = pick(nodes);
    const orderId = pick(ids);
    if (!exists.has(orderId)) {
      await orders.create({ orderId, parties: { customer: "ada" } });
      exists.add(orderId);
    } else if (random() < 0.1) {
      expect(await orders.remove(orderId)).toEqual({ removed: true });
      exists.delete(orderId);
    } else if (random() < 0.3) await orders.update(orderId, { data: { act } });
    // What has timed out meanwhile may make a move illegal.
    else await orders.apply(orderId, { status: pick(["confirmed", "cooking", "ready"]) }).catch(ignoreIllegal);
    if (random() < 0.05) await new Promise((resolve) => setTimeout(resolve, random() * 200));
  }
  // Of those that go to and fro, one more move each way.
  const isSettled = ({ timeline }: OrderWithTimeline): boolean => {
    const moves = timeline.filter(isTimeout).map(({ status }) => status);
    return timeline.at(-1)?.status === "cancelled" || (moves.includes("ready") && moves.includes("cooking"));
  };
  const settled = await eventually(async () => {
    const read = await Promise.all([...exists].map((orderId) => nodes[0]!.orders.get(orderId)));
    expect(read.filter((order) => !isSettled(order))).toEqual([]);
    return read;
  });

  for (const { timeline } of settled) {
    let entered = timeline[0]!;
    for (const [index, entry] of timeline.entries()) {
      // An update keeps the status, and when it began.
      if (index === 0 || entry.update !== undefined) continue;
      expect(entry.previousStatus).toBe(entered.status);
      expect(isLegal(entered.status, entry.status)).toBe(true);
      if (isTimeout(entry)) {
        const rule = limited[entered.status as keyof typeof limited];
        expect(entry.status).toBe(rule.to);
        expect(entry.occurredAt - entered.occurredAt).toBeGreaterThanOrEqual(rule.afterSeconds * 1_000);
      }
      entered = entry;
    }
    expect(timeline.filter(isTimeout).length).toBeGreaterThan(0);
  }
});

const { isLegal } = createTransitionTable(transitions);

const isTimeout = ({ data }: TimelineEntry): boolean => (data as { reason?: string } | null)?.reason === "timeout";

function ignoreIllegal(error: unknown): void {
  if (!(error instanceof GatewayError) || error.code !== "illegal_transition") throw error;
}
