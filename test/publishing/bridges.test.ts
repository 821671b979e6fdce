import { describe, expect, onTestFinished, test } from "vitest";
import { createBridges, type BridgeOptions } from "../../src/publishing/bridges.ts";
import { createTemplate } from "../../src/publishing/template.ts";
import { openKind, reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix, quietLog, testMetrics } from "../support/world.ts";

const kinds = { chat: openKind };

/** Nodes that hear the same pub/sub channels, each with a subscriber of its own. */
async function startNodes(count: number, options: (prefix: string) => BridgeOptions[]) {
  const prefix = freshPrefix();
  const nodes = await Promise.all(
    Array.from({ length: count }, async () => {
      const { channels, redis } = await startChannelsNode({ prefix, kinds });
      const metrics = testMetrics();
      const bridges = createBridges(
        {
          subscriber: redis.connection("bridges"),
          publish: (request) => channels.publish(request),
          deliverLive: (channel, event, data) => channels.deliverLive(channel, event, data),
          log: quietLog,
          metrics,
        },
        options(prefix),
      );
      await bridges.start();
      onTestFinished(() => bridges.stop());
      const subscriber = recordingSubscriber();
      await channels.subscribe(subscriber, reader("ada"), "chat:7");
      return { channels, redis, metrics, subscriber };
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
    const stored = await Promise.all(nodes.map(async ({ metrics }) => (await countsOf(metrics)).stored ?? 0));
    expect(stored.reduce((sum, count) => sum + count)).toBe(20);
  });
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

  expect(template.nameFor({ parties: { customer: "ada" }, n: 7 })).toBe("order:ada/7");
  expect(template.nameFor({ parties: { customer: "" }, n: 7 })).toBeUndefined();
  expect(template.nameFor({ n: 7 })).toBeUndefined();
  expect(template.nameFor("text")).toBeUndefined();
  expect(createTemplate("x:{constructor.name}").nameFor({})).toBeUndefined();
  expect(createTemplate("plain").nameFor(null)).toBe("plain");
});
