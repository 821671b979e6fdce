import { describe, expect, onTestFinished, test } from "vitest";
import { createBridges, type BridgeOptions, type BridgesDeps } from "../../src/commands/bridges.ts";
import { createTemplate } from "../../src/commands/template.ts";
import { createCommandAdder } from "../../src/commands/command-adder.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { openKind, reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { publishExecutor } from "../support/publish-executor.ts";
import { eventually, freshPrefix, quietLog, testMetrics } from "../support/world.ts";

const kinds = { chat: openKind };

/** Nodes that hear the same pub/sub channels, each with a subscriber of its own. */
async function startNodes(
  count: number,
  options: (prefix: string) => BridgeOptions[],
  partiesOf: BridgesDeps["partiesOf"] = async (orderId) =>
    orderId === "7" ? { customer: "7", courier: "8" } : undefined,
) {
  const prefix = freshPrefix();
  const nodes = await Promise.all(
    Array.from({ length: count }, async () => {
      const { channels, redis } = await startChannelsNode({ prefix, kinds });
      const metrics = testMetrics();
      const bridges = createBridges(
        {
          subscriber: redis.connection("bridges"),
          executor: publishExecutor((request) => channels.publish(request), metrics),
          deliverLive: (channel, event, data) => channels.deliverLive(channel, event, data),
          store: createCommandAdder({ commands: redis.connection("commands"), keys: createKeys(prefix) }),
          isOrderStatus: (status) => ["confirmed", "delivered"].includes(status),
          partiesOf,
          log: quietLog,
          metrics,
        },
        options(prefix),
      );
      await bridges.start();
      onTestFinished(() => bridges.stop());
      const subscriber = recordingSubscriber();
      await channels.subscribe(subscriber, reader("ada"), "chat:7");
      return { channels, redis, metrics, subscriber, prefix };
    }),
  );
  const send = (channel: string, message: unknown) =>
    nodes[0]!.redis
      .connection("commands")
      .publish(`${prefix}:${channel}`, typeof message === "string" ? message : JSON.stringify(message));
  return { nodes, send, counted: async (node = nodes[0]!) => countsOf(node.metrics) };
}

async function countsOf(metrics: ReturnType<typeof testMetrics>): Promise<Record<string, number>> {
  const { values } = await metrics.bridged.get();
  return Object.fromEntries(values.map(({ labels, value }) => [labels.outcome, value]));
}

const sumOf = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, count) => sum + count, 0);

const toRoom = (prefix: string): BridgeOptions[] => [
  { pattern: `${prefix}:said`, channel: "chat:{room}", event: "said" },
  { pattern: `${prefix}:any.*`, channel: "chat:{about.room}", event: "any" },
];

describe("a message with an id", () => {
  test("is stored and delivered once, though every node hears it", async () => {
    const { nodes, send } = await startNodes(3, toRoom);

    for (let n = 1; n <= 20; n++) await send("said", { id: `m-${n}`, room: 7, n });

    for (const { subscriber } of nodes) {
      await eventually(() => expect(subscriber.seen).toHaveLength(20));
      expect(subscriber.seen.map(({ data }) => (data as { n: number }).n)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    }
    expect((await nodes[0]!.channels.history("chat:7", {})).offset).toBe(20);
    // Delivered before its node is told so.
    for (const { metrics } of nodes) await eventually(async () => expect(sumOf(await countsOf(metrics))).toBe(20));
    const stored = await Promise.all(nodes.map(async ({ metrics }) => (await countsOf(metrics)).stored ?? 0));
    expect(stored.reduce((sum, count) => sum + count)).toBe(20);
  });
});

describe("a message as a command", () => {
  const toOrders = (prefix: string): BridgeOptions[] => [
    { pattern: `${prefix}:status`, command: "order.event" },
    ...toRoom(prefix),
  ];

  test("is left in the stream once and in order, though every node hears it", async () => {
    const { nodes, send } = await startNodes(3, toOrders);
    const stream = createKeys(nodes[0]!.prefix).commands();
    const left = async () => {
      const entries = await nodes[0]!.redis.connection("commands").xrange(stream, "-", "+");
      return entries.map(([, [, command]]) => JSON.parse(command!) as Record<string, unknown>);
    };

    for (let n = 1; n <= 50; n++) await send("status", { id: n, orderId: n, status: "confirmed", sequence: n });

    await eventually(async () =>
      expect(await left()).toEqual(
        Array.from({ length: 50 }, (_, index) => ({
          type: "order.event",
          orderId: `${index + 1}`,
          status: "confirmed",
          sequence: index + 1,
        })),
      ),
    );
  });

  test("keeps ids to their last digit, takes what is left for data, and needs no id", async () => {
    const { nodes, send, counted } = await startNodes(2, toOrders);
    const redis = nodes[0]!.redis.connection("commands");
    const stream = createKeys(nodes[0]!.prefix).commands();

    for (let repeat = 0; repeat < 2; repeat++) {
      await send("status", '{"orderId":9007199254740993,"status":"delivered","n":9007199254740993}');
      await send("status", '{"id":9007199254740992,"orderId":"a","status":"confirmed"}');
      await send("status", '{"id":9007199254740993,"orderId":"a","status":"confirmed","data":1,"more":2}');
    }
    await send("status", { orderId: "a", status: "delivered", sequence: 0 });
    await send("status", "{}");
    await send("status", '{"orderId":"a","orderId":"b","status":"confirmed"}');

    for (const { metrics } of nodes) await eventually(async () => expect(sumOf(await countsOf(metrics))).toBe(9));
    expect((await counted()).bad_request).toBe(3);
    const entries = await redis.xrange(stream, "-", "+");
    expect(entries.map(([, [, command]]) => JSON.parse(command!))).toEqual([
      { type: "order.event", orderId: "9007199254740993", status: "delivered", data: { n: "9007199254740993" } },
      { type: "order.event", orderId: "a", status: "confirmed" },
      { type: "order.event", orderId: "a", status: "confirmed", data: 1 },
    ]);
  });

  test("with a status that no order can have moves nothing and is told as a message", async () => {
    const { nodes, send } = await startNodes(2, toOrders);
    for (const { channels, subscriber } of nodes) await channels.subscribeUnchecked(subscriber, "order:7");

    await send("status", { id: 1, orderId: 7, status: "at the door" });

    for (const { subscriber } of nodes) {
      await eventually(() => expect(subscriber.seen).toHaveLength(1));
      expect(subscriber.seen[0]).toMatchObject({ event: "order.message", data: { status: "at the door" }, offset: 1 });
    }
    expect(await nodes[0]!.redis.connection("commands").exists(createKeys(nodes[0]!.prefix).commands())).toBe(0);
  });
});

test("a message for several channels goes to each that its fields name, and to an order's parties", async () => {
  const { nodes, send, counted } = await startNodes(1, (prefix) => [
    { pattern: `${prefix}:new`, channel: ["chat:{parties.*}", "chat:{userId}", "chat:all"], event: "new" },
  ]);
  const [{ channels, subscriber }] = nodes as [(typeof nodes)[number]];
  for (const channel of ["chat:8", "chat:all"]) await channels.subscribe(subscriber, reader("ada"), channel);

  await send("new", { id: "a", orderId: 7 });
  await send("new", { id: "b", orderId: 8, userId: 7 });
  await send("new", { id: "c", parties: { customer: 7, courier: 7 } });

  await eventually(async () => expect(await counted()).toEqual({ stored: 7 }));
  await eventually(() => expect(subscriber.seen).toHaveLength(7));
  const toldOf = (channel: string) =>
    subscriber.seen.filter((one) => one.channel === channel).map(({ data }) => (data as { id: string }).id);
  expect([toldOf("chat:7"), toldOf("chat:8"), toldOf("chat:all")]).toEqual([["a", "b", "c"], ["a"], ["a", "b", "c"]]);
});

test("messages leave in the order in which they came, also past one whose parties are still looked up", async () => {
  const lastAsked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Record<string, string>>();
  const partiesOf = async (orderId: string): Promise<Record<string, string>> => {
    if (orderId === "7") return answer.promise;
    lastAsked.resolve();
    throw new Error("no answer");
  };
  const patterns = (prefix: string): BridgeOptions[] => [
    { pattern: `${prefix}:new`, channel: "chat:{parties.customer}", event: "new" },
    ...toRoom(prefix),
  ];
  const { nodes, send, counted } = await startNodes(1, patterns, partiesOf);

  await send("new", { id: "a", orderId: 7 });
  await send("new", { id: "b", parties: { customer: 7 } });
  await send("said", { id: "c", room: 7 });
  await send("new", { id: "d", orderId: 8 });
  await lastAsked.promise;
  answer.resolve({ customer: "7" });

  await eventually(async () => expect(await counted()).toEqual({ stored: 3, internal: 1 }));
  await eventually(() => expect(nodes[0]!.subscriber.seen).toHaveLength(3));
  expect(nodes[0]!.subscriber.seen.map(({ data }) => (data as { id: string }).id)).toEqual(["a", "b", "c"]);
});

describe("a message without an id", () => {
  test("is delivered live by each node to its own, and not stored", async () => {
    const { nodes, send } = await startNodes(3, toRoom);

    await send("any.thing", { about: { room: "7" }, n: 1 });

    for (const { subscriber } of nodes) {
      await eventually(() => expect(subscriber.seen).toHaveLength(1));
      expect(subscriber.seen[0]).toMatchObject({ channel: "chat:7", event: "any", data: { n: 1 } });
    }
    expect((await nodes[0]!.channels.history("chat:7", {})).offset).toBe(0);
  });
});

test("what cannot be bridged is counted by reason and harms nothing", async () => {
  const { nodes, send, counted } = await startNodes(1, (prefix) => [
    ...toRoom(prefix),
    { pattern: `${prefix}:lost`, channel: "nope:{room}", event: "said" },
  ]);

  await send("said", "not json");
  await send("said", `{"room":7,"x":${"[".repeat(40)}${"]".repeat(40)}}`);
  await send("said", { id: "a" });
  await send("said", { id: "a", room: { not: "a name" } });
  await send("said", { id: "a", room: "bad\nname" });
  await send("said", JSON.stringify({ room: 7, x: "x".repeat(70_000) }));
  await send("lost", { room: 7 });
  await send("lost", { room: 7, id: "a" });
  await send("said", { room: 7, id: "good" });

  await eventually(() => expect(nodes[0]!.subscriber.seen).toHaveLength(1));
  await eventually(async () =>
    expect(await counted()).toEqual({ bad_request: 5, payload_too_large: 1, unknown_channel: 2, stored: 1 }),
  );
});

test("a template takes fields of the message, and nothing else", () => {
  const template = createTemplate("order:{parties.customer}/{n}");

  expect(template.namesFor({ parties: { customer: "ada" }, n: 7 })).toEqual(["order:ada/7"]);
  expect(template.namesFor({ parties: { customer: "" }, n: 7 })).toEqual([]);
  expect(template.namesFor({ n: 7 })).toEqual([]);
  expect(template.namesFor("text")).toEqual([]);
  expect(createTemplate("x:{constructor.name}").namesFor({})).toEqual([]);
  expect(createTemplate("plain").namesFor(null)).toEqual(["plain"]);
  const each = createTemplate("orders:{parties.*}");
  expect(each.namesFor({ parties: { a: "ada", b: "bob", c: "ada", d: {}, e: 7 } })).toEqual([
    "orders:ada",
    "orders:bob",
    "orders:7",
  ]);
  expect(each.namesFor({ parties: [] })).toEqual([]);
  expect(createTemplate("x:{a.*}{a.*}").namesFor({ a: Array.from({ length: 1_000 }, (_, n) => n) })).toHaveLength(64);
});
