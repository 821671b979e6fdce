import { describe, expect, test } from "vitest";
import { parseCommand } from "../../src/commands/commands.ts";
import type { OrdersNode } from "../support/orders-node.ts";
import { startOrdersNode } from "../support/orders-node.ts";
import { startChannelsNode } from "../support/nodes.ts";
import { shuffled, tellStory } from "../support/order-stories.ts";
import { within } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const parties = { customer: "ada", courier: "bob" };
const create = { orderId: "o-1", parties, data: { items: 2 } };

/** Publications of a channel, oldest first. */
async function carried(prefix: string, channel: string) {
  const { channels } = await startChannelsNode({ prefix });
  return (await channels.history(channel, { limit: 1_000 })).publications;
}

/** The error code of a call that throws. */
const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "ok",
    (error: { code: string }) => error.code,
  );

describe("creating", () => {
  test("starts at the first configured status and answers a repeat alike", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix() });

    const first = await orders.create(create);
    const again = await orders.create({ ...create, data: { items: 2 } });

    expect(first.order).toMatchObject({ orderId: "o-1", parties, status: "created", sequence: 0, data: { items: 2 } });
    expect(again).toEqual(first);
  });

  test("is a conflict if the order exists with different content", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix() });
    await orders.create(create);

    expect(await codeOf(orders.create({ ...create, data: { items: 3 } }))).toBe("conflict");
    expect(await codeOf(orders.create({ ...create, parties: { customer: "eve" } }))).toBe("conflict");
    expect(await codeOf(orders.create({ ...create, orderId: "o-2", status: "nowhere" }))).toBe("bad_request");
  });

  test("concurrently on several nodes creates one order", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([1, 2, 3].map(() => startOrdersNode({ prefix })));

    const answers = await Promise.all([...nodes, ...nodes, ...nodes].map(({ orders }) => orders.create(create)));

    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await carried(prefix, "order:o-1")).toHaveLength(1);
  });
});

describe("events", () => {
  test("return the current order and why they were not applied", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix() });
    await orders.create(create);

    const answers = [];
    for (const event of [
      { status: "confirmed", sequence: 1, eventId: "a" },
      { status: "confirmed", sequence: 1, eventId: "a" },
      { status: "ready", sequence: 3 },
      { status: "cooking", sequence: 2 },
      { status: "confirmed", sequence: 1 },
    ]) {
      answers.push(await orders.apply("o-1", event));
    }

    expect(answers.map(({ applied, reason, order }) => [applied, reason, order.status, order.sequence])).toEqual([
      [true, undefined, "confirmed", 1],
      [false, "duplicate", "confirmed", 1],
      [false, "held", "confirmed", 1],
      [true, undefined, "ready", 3],
      [false, "stale", "ready", 3],
    ]);
  });

  test("that are illegal or for an unknown order are refused and change nothing", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix() });
    await orders.create(create);
    const before = await orders.get("o-1");

    expect(await codeOf(orders.apply("o-1", { status: "delivered", sequence: 1 }))).toBe("illegal_transition");
    expect(await codeOf(orders.apply("o-1", { status: "nowhere" }))).toBe("illegal_transition");
    expect(await codeOf(orders.apply("o-2", { status: "confirmed" }))).toBe("not_found");
    expect(await orders.get("o-1")).toEqual(before);
  });

  test("reach the order's channel and each party's, once and in order", async () => {
    const prefix = freshPrefix();
    const { orders } = await startOrdersNode({ prefix });
    await orders.create({ ...create, parties: { customer: "ada", payer: "ada", courier: "bob" } });
    await orders.apply("o-1", { status: "cooking", sequence: 2, data: { by: "eve" }, occurredAt: 7 });
    await orders.apply("o-1", { status: "confirmed", sequence: 1 });

    for (const channel of ["order:o-1", "orders:ada", "orders:bob"]) {
      const publications = await carried(prefix, channel);
      expect(publications.map(({ event }) => event)).toEqual(Array(3).fill("order.status"));
      expect(publications.map(({ data }) => data)).toMatchObject([
        { orderId: "o-1", status: "created", previousStatus: null, sequence: 0, data: { items: 2 } },
        { orderId: "o-1", status: "confirmed", previousStatus: "created", sequence: 1, data: null },
        { orderId: "o-1", status: "cooking", previousStatus: "confirmed", sequence: 2, occurredAt: 7 },
      ]);
    }
  });

  test("of one order in parallel on three nodes are each applied once", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([1, 2, 3].map(() => startOrdersNode({ prefix })));
    await nodes[0]!.orders.create(create);
    await nodes[0]!.orders.apply("o-1", { status: "confirmed" });
    const road = ["cooking", "paused"];

    const events = Array.from({ length: 30 }, (_, index) => ({ status: road[index % 2]!, sequence: index + 2 }));
    const arrivals = shuffled(seeded(1), [...events, ...events, ...events]);
    await Promise.all(arrivals.map((event, index) => nodes[index % 3]!.orders.apply("o-1", event)));

    const { timeline } = await nodes[0]!.orders.get("o-1");
    expect(timeline.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 32 }, (_, index) => index));
    const told = (await carried(prefix, "orders:bob")).map(({ data }) => (data as { sequence: number }).sequence);
    expect(told).toEqual(timeline.map(({ sequence }) => sequence));
  });
});

/** Why each event of `o-1`, given to one node after the other, was not applied: all of them before a window ends. */
const reasonsOf = async (
  nodes: readonly OrdersNode[],
  events: readonly { status: string; sequence: number; eventId?: string }[],
): Promise<unknown[]> => {
  const reasons: unknown[] = [];
  for (const [index, event] of events.entries())
    reasons.push((await nodes[index % nodes.length]!.orders.apply("o-1", event)).reason);
  return reasons;
};

describe("a reorder window", () => {
  test("that ends releases held events: applied if legal, else dead-lettered, and all parties are notified", async () => {
    const reorderWindowMs = 1_500;
    const { prefix, orders, refused } = await within(reorderWindowMs, async () => {
      const fresh = freshPrefix();
      const node = await startOrdersNode({ prefix: fresh, reorderWindowMs });
      await node.orders.create(create);
      const early = [
        { status: "confirmed", sequence: 2, eventId: "b" },
        { status: "delivered", sequence: 3, eventId: "c" },
      ];
      expect(await reasonsOf([node], early)).toEqual(["held", "held"]);
      return { prefix: fresh, ...node };
    });

    await eventually(() => expect(refused).toHaveLength(1));
    expect(JSON.parse(refused[0]!.command)).toMatchObject({ type: "order.event", orderId: "o-1", eventId: "c" });
    expect((await orders.get("o-1")).order).toMatchObject({ status: "confirmed", sequence: 2 });
    expect(await carried(prefix, "orders:ada")).toHaveLength(2);
  });

  test("that ends applies a held event as corrected, and a refused correction is a command that can be replayed", async () => {
    const reorderWindowMs = 1_000;
    const { orders, refused } = await within(reorderWindowMs, async () => {
      const node = await startOrdersNode({ prefix: freshPrefix(), reorderWindowMs });
      await node.orders.create(create);
      const early = [
        { sequence: 2, status: "delivered", eventId: "b" },
        { sequence: 2, status: "confirmed", eventId: "c" },
        { sequence: 2, status: "delivered", eventId: "b" },
        { sequence: 3, status: "cooking", eventId: "d" },
        { sequence: 3, status: "delivered", eventId: "e" },
      ];
      expect(await reasonsOf([node], early)).toEqual(["held", "replaced", "stale", "held", "replaced"]);
      return node;
    });

    await eventually(() => expect(refused).toHaveLength(1));
    expect((await orders.get("o-1")).order).toMatchObject({ status: "confirmed", sequence: 2 });
    expect(parseCommand(refused[0]!.command)).toMatchObject({ type: "order.event", sequence: 3, eventId: "e" });
  });

  test("ends even if the due set contains unparsable members", async () => {
    const { orders, redis, keys } = await startOrdersNode({ prefix: freshPrefix(), reorderWindowMs: 200 });
    const foreign = ["garbage", "{}", "[]", '["o-1",7]', '[7,null,"x"]'].flatMap((member) => [0, member]);
    await redis.connection("commands").zadd(keys.dueOrders(), ...foreign);
    await orders.create(create);

    await orders.apply("o-1", { status: "confirmed", sequence: 2 });

    await eventually(async () => expect((await orders.get("o-1")).order.status).toBe("confirmed"));
    await eventually(async () => expect(await redis.connection("commands").zcard(keys.dueOrders())).toBe(0));
  });

  test("of a node that died is ended by another", async () => {
    const prefix = freshPrefix();
    const dying = await startOrdersNode({ prefix, reorderWindowMs: 300 });
    await dying.orders.stop();
    await dying.orders.create(create);
    await dying.orders.apply("o-1", { status: "confirmed", sequence: 2 });
    await dying.redis.close();

    const { orders } = await startOrdersNode({ prefix, reorderWindowMs: 300 });

    await eventually(async () => expect((await orders.get("o-1")).order.status).toBe("confirmed"));
  });

  test("ends on one node only and leaves no scheduled check", async () => {
    const reorderWindowMs = 1_500;
    const { prefix, nodes } = await within(reorderWindowMs, async () => {
      const fresh = freshPrefix();
      const started = await Promise.all([1, 2, 3].map(() => startOrdersNode({ prefix: fresh, reorderWindowMs })));
      await started[0]!.orders.create(create);
      const early = [6, 4, 2].map((sequence) => ({ status: sequence === 2 ? "confirmed" : "delivered", sequence }));
      expect(await reasonsOf(started, early)).toEqual(["held", "held", "held"]);
      return { prefix: fresh, nodes: started };
    });

    const checks = () => nodes[0]!.redis.connection("commands").zcard(nodes[0]!.keys.dueOrders());
    await eventually(async () => expect(await checks()).toBe(0));

    const deadLetters = new Set(nodes.flatMap(({ refused }) => refused.map(({ key }) => key)));
    expect(deadLetters.size).toBe(2);
    expect(await carried(prefix, "order:o-1")).toHaveLength(2);
  });
});

test("a notification that failed is delivered later, in order and once", async () => {
  const prefix = freshPrefix();
  let isAway = true;
  const refused = new Set<string>();
  const deadLetter = async ({ key }: { key: string }) => {
    if (isAway) throw new Error("away");
    refused.add(key);
  };
  const { orders, redis, keys } = await startOrdersNode({ prefix, deadLetter, reorderWindowMs: 60_000 });
  await orders.create(create);
  await orders.apply("o-1", { status: "delivered", sequence: 2 });

  const { applied } = await orders.apply("o-1", { status: "confirmed", sequence: 1 });
  await orders.apply("o-1", { status: "cooking", sequence: 3 });
  isAway = false;

  expect(applied).toBe(true);
  await eventually(() => expect(refused.size).toBe(1));
  await eventually(async () => expect(await redis.connection("commands").zcard(keys.orderOutbox("o-1"))).toBe(0));
  const told = (await carried(prefix, "orders:ada")).map(({ data }) => (data as { status: string }).status);
  expect(told).toEqual(["created", "confirmed", "cooking"]);
});

test("an order is not deleted before what it still has to report was delivered", async () => {
  const attempts: string[] = [];
  let isAway = true;
  const { orders } = await startOrdersNode({
    prefix: freshPrefix(),
    reorderWindowMs: 50,
    async deadLetter({ key }) {
      attempts.push(key);
      if (isAway) throw new Error("no answer");
    },
  });
  await orders.create(create);
  await orders.apply("o-1", { status: "ready", sequence: 5 });
  await eventually(() => expect(attempts).not.toEqual([]));

  expect(await codeOf(orders.remove("o-1"))).toBe("unavailable");
  isAway = false;

  expect(await orders.remove("o-1")).toEqual({ removed: true });
  expect(new Set(attempts).size).toBe(1);
});

describe("reading", () => {
  test("a snapshot matches its position despite concurrent writes", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix() });
    await orders.create(create);
    await orders.apply("o-1", { status: "confirmed" });

    const writing = (async () => {
      for (let n = 0; n < 60; n++) await orders.apply("o-1", { status: n % 2 === 0 ? "cooking" : "paused" });
    })();
    for (let n = 0; n < 60; n++) {
      const { value, at } = await orders.takeOrderSnapshot("order:o-1");
      const { order, timeline } = value as { order: { sequence: number }; timeline: { sequence: number }[] };
      expect(timeline).toHaveLength(at.offset);
      expect(timeline.at(-1)?.sequence).toBe(order.sequence);
    }
    await writing;
  });

  test("is for parties only; orders of others and unknown orders answer alike", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix() });
    await orders.create(create);

    expect((await orders.getForUser("o-1")).timeline).toHaveLength(1);
    await expect(orders.getForUser("o-unknown")).rejects.toMatchObject({ code: "forbidden" });
    expect(await orders.mayRead("o-unknown", "eve")).toBe(false);
    expect(await Promise.all(["ada", "bob", "eve"].map((user) => orders.mayRead("o-1", user)))).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("open orders are those that have not ended, the last updated first, and older ones fill free places", async () => {
    const prefix = freshPrefix();
    const { orders } = await startOrdersNode({ prefix, maxOpen: 2, lifeSeconds: 100 });
    for (const orderId of ["a", "b", "c"]) await orders.create({ ...create, orderId });
    await orders.apply("b", { status: "confirmed" });
    await orders.apply("c", { status: "cancelled" });

    const { value, at } = await orders.takeOpenOrdersSnapshot("orders:ada");

    expect(value).toMatchObject({
      orders: [
        { orderId: "b", status: "confirmed", sequence: 1, parties },
        { orderId: "a", status: "created", parties },
      ],
    });
    expect(at.offset).toBe(6);
    expect(await carried(prefix, "orders:ada")).toMatchObject([
      {},
      {},
      {},
      {},
      {},
      { event: "order.listed", data: { orderId: "a" } },
    ]);
    expect((await orders.takeOpenOrdersSnapshot("orders:nobody")).value).toEqual({ orders: [] });
  });
});

describe("signals", () => {
  test("are conflated to one per interval and name: the first immediately, then the latest", async () => {
    const signalEveryMs = 2_000;
    const seenBy = (prefix: string) => async (channel: string) =>
      (await carried(prefix, channel)).map(({ event, data }) => [event, (data as { data: unknown }).data]);
    const expected = [
      ["order.status", { items: 2 }],
      ["order.signal", { n: 1 }],
      ["order.signal", 9],
      ["order.status", null],
      ["order.signal", { n: 50 }],
    ];
    const { orders, seen } = await within(signalEveryMs, async () => {
      const prefix = freshPrefix();
      const node = await startOrdersNode({ prefix, signalEveryMs });
      await node.orders.create(create);
      for (let n = 1; n <= 50; n++) await node.orders.signal("o-1", { name: "place", data: { n } });
      await node.orders.signal("o-1", { name: "eta", data: 9 });
      await node.orders.apply("o-1", { status: "confirmed" });
      expect(await seenBy(prefix)("order:o-1")).toEqual(expected.slice(0, -1));
      return { orders: node.orders, seen: seenBy(prefix) };
    });

    for (const channel of ["order:o-1", "orders:ada", "orders:bob"]) {
      await eventually(async () => expect(await seen(channel)).toEqual(expected));
    }
    const { order, timeline } = await orders.get("o-1");
    expect(order.signals).toMatchObject({ place: { data: { n: 50 } }, eta: { data: 9 } });
    expect(timeline.map(({ status }) => status)).toEqual(["created", "confirmed"]);
  });

  test("that wait for their interval are published also if the caller has to repeat because it did not learn that", async () => {
    const signalEveryMs = 1_000;
    const { prefix, seen } = await within(signalEveryMs, async () => {
      const prefix = freshPrefix();
      const { orders, redis, keys } = await startOrdersNode({ prefix, signalEveryMs });
      await orders.create(create);
      await orders.signal("o-1", { name: "place", data: 1 });
      const commands = redis.connection("commands");
      await commands.set(keys.dueOrders(), "no due set");
      await expect(orders.signal("o-1", { name: "place", data: 2, idempotencyKey: "k" })).rejects.toThrow();
      await commands.del(keys.dueOrders());
      await orders.signal("o-1", { name: "place", data: 2, idempotencyKey: "k" });
      return { prefix, seen: await carried(prefix, "order:o-1") };
    });
    expect(seen.map(({ event }) => event)).toEqual(["order.status", "order.signal"]);

    await eventually(async () =>
      expect((await carried(prefix, "order:o-1")).at(-1)).toMatchObject({ event: "order.signal", data: { data: 2 } }),
    );
  });

  test("with a used key change nothing; names are bounded; unknown orders are refused", async () => {
    const { orders } = await startOrdersNode({ prefix: freshPrefix(), signalNames: 2 });
    await orders.create(create);
    await orders.signal("o-1", { name: "place", data: 1, idempotencyKey: "k" });
    await orders.signal("o-1", { name: "place", data: 2 });
    await orders.signal("o-1", { name: "place", data: 1, idempotencyKey: "k" });
    await orders.signal("o-1", { name: "eta", data: 1 });

    expect(await codeOf(orders.signal("o-1", { name: "third", data: 1 }))).toBe("bad_request");
    expect(await codeOf(orders.signal("o-2", { name: "place", data: 1 }))).toBe("not_found");
    expect((await orders.get("o-1")).order.signals.place).toMatchObject({ data: 2 });
  });
});

test("every key of an order has a TTL, which is shorter once the order has ended", async () => {
  const prefix = freshPrefix();
  const { orders, redis, keys } = await startOrdersNode({ prefix, lifeSeconds: 1_000, endedLifeSeconds: 50 });
  await orders.create(create);
  await orders.apply("o-1", { status: "confirmed", eventId: "a" });
  await orders.signal("o-1", { name: "place", data: 1, idempotencyKey: "k" });
  await orders.apply("o-1", { status: "cooking", sequence: 5 });
  const commands = redis.connection("commands");

  const all = await commands.keys(`${prefix}:*`);
  const eternal = [];
  for (const key of all) if ((await commands.ttl(key)) < 0) eternal.push(key);
  expect(eternal.toSorted()).toEqual([keys.dueOrders(), keys.globalTimestamp()].toSorted());

  await orders.apply("o-1", { status: "cancelled", sequence: 2 });
  expect(await commands.ttl(keys.orderTimeline("o-1"))).toBeLessThanOrEqual(50);
  expect(await commands.ttl(keys.orderSignals("o-1"))).toBeLessThanOrEqual(50);
});

test("names may contain colons, braces and globs", async () => {
  const prefix = freshPrefix();
  const { orders } = await startOrdersNode({ prefix });
  const orderId = "a:{b}*\\..%";

  await orders.create({ orderId, parties: { customer: "x:{y}" } });
  await orders.apply(orderId, { status: "confirmed", eventId: "1:{2}" });

  expect((await orders.getForUser(orderId)).order.status).toBe("confirmed");
  expect(await carried(prefix, `order:${orderId}`)).toHaveLength(2);
});

test("shuffled and repeated over four nodes, every timeline is legal and complete, and the dead letters are the illegal events", async () => {
  const orderCount = Number(process.env.TEST_ORDERS ?? 60);
  const random = seeded(6);
  const prefix = freshPrefix();
  // Longer than the longest run: what a window does when it ends is tried above.
  const nodes = await Promise.all([1, 2, 3, 4].map(() => startOrdersNode({ prefix, reorderWindowMs: 3_600_000 })));
  const stories = new Map(Array.from({ length: orderCount }, (_, index) => [`o-${index}`, tellStory(random)]));
  await Promise.all([...stories.keys()].map((orderId) => nodes[0]!.orders.create({ orderId, parties })));

  const refusedAtOnce = new Set<string>();
  const arrivals = [...stories].flatMap(([orderId, story]) => story.arrivals.map((event) => ({ orderId, event })));
  const deal = shuffled(random, arrivals).map((arrival, index) => [nodes[index % 4] as OrdersNode, arrival] as const);
  for (let i = 0; i < deal.length; i += 500) {
    await Promise.all(
      deal.slice(i, i + 500).map(async ([{ orders }, { orderId, event }]) => {
        const code = await codeOf(orders.apply(orderId, event));
        if (code === "illegal_transition") refusedAtOnce.add(`${orderId} ${event.eventId}`);
        else expect(code).toBe("ok");
      }),
    );
  }

  const refusedLater = nodes.flatMap(({ refused }) => refused.map(({ command }) => command));
  for (const command of refusedLater) {
    const { orderId, eventId } = JSON.parse(command) as { orderId: string; eventId: string };
    refusedAtOnce.add(`${orderId} ${eventId}`);
  }
  const illegal = [...stories].flatMap(([orderId, story]) => story.illegal.map((id) => `${orderId} ${id}`));
  expect([...refusedAtOnce].toSorted()).toEqual(illegal.toSorted());
  for (const [orderId, story] of stories) {
    const { timeline } = await nodes[0]!.orders.get(orderId);
    expect([orderId, ...timeline.map(({ sequence }) => sequence)]).toEqual([orderId, ...story.timeline]);
  }
});
