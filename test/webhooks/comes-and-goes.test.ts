import { describe, expect, onTestFinished, test } from "vitest";
import type { WebhookEvent } from "../../src/protocol/webhooks.ts";
import { startHookReceiver, unreliable, type HookReceiver } from "../support/hook-receiver.ts";
import { promised, timed } from "../support/promised.ts";
import { seeded } from "../support/random.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { eager, startWebhooksNode, type WebhooksNode } from "../support/webhooks-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "chat:1";
const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const settled = (): Promise<void> => passed(400);
/** In which a busy machine, too, has said what it is to say. */
const patientSettleMs = 700;

interface Nodes {
  receiver: HookReceiver;
  nodes: WebhooksNode[];
  /** Events about the channel, in order. */
  told(): WebhookEvent[];
}

async function startNodes(count: number, settleMs = 100): Promise<Nodes> {
  const receiver = await startHookReceiver();
  const prefix = freshPrefix();
  const endpoints = [eager(receiver.url)];
  const nodes = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      startWebhooksNode({ prefix, endpoints, nodeId: `node-${index}`, settleMs }),
    ),
  );
  return { receiver, nodes, told: () => receiver.taken().map(({ type }) => type) };
}

describe("a channel over several nodes", () => {
  test("is occupied by its first subscriber on any node, and vacated some time after its last one left", async () => {
    const { nodes, told } = await startNodes(3);

    for (const { webhooks } of nodes) webhooks.subscriptionChanged({ channel }, true);
    nodes[0]!.webhooks.subscriptionChanged({ channel }, true);
    await eventually(() => expect(told()).toEqual(["channel.occupied"]));
    await settled();
    for (const { webhooks } of nodes) webhooks.subscriptionChanged({ channel }, false);
    await settled();
    expect(told()).toEqual(["channel.occupied"]);
    nodes[0]!.webhooks.subscriptionChanged({ channel }, false);

    await eventually(() => expect(told()).toEqual(["channel.occupied", "channel.vacated"]));
  });

  test("is not vacated by a reload, on the same node or another", timed, async () => {
    const { nodes, told } = await startNodes(2, patientSettleMs);
    const [one, other] = nodes as [WebhooksNode, WebhooksNode];
    one.webhooks.subscriptionChanged({ channel }, true);

    for (const next of [one, other, one]) {
      for (const { webhooks } of nodes) webhooks.subscriptionChanged({ channel }, false);
      next.webhooks.subscriptionChanged({ channel }, true);
      await settled();
    }

    await passed(2 * patientSettleMs);
    expect(told()).toEqual(["channel.occupied"]);
  });

  test("is reported for even the shortest subscription", async () => {
    const { nodes, told } = await startNodes(1);

    nodes[0]!.webhooks.subscriptionChanged({ channel }, true);
    nodes[0]!.webhooks.subscriptionChanged({ channel }, false);

    await eventually(() => expect(told()).toEqual(["channel.occupied", "channel.vacated"]));
  });

  test(
    "is occupied and vacated alternately, despite churn on all nodes and an unreliable receiver",
    { timeout: 180_000 },
    async () => {
      const { nodes, receiver } = await startNodes(3);
      receiver.behave(unreliable(seeded(11), { failed: 0.3, hung: 0 }));
      const random = seeded(5);
      const channels = Array.from({ length: 20 }, (_, index) => `chat:${index}`);
      const subscribed = new Map<string, boolean>();

      for (let step = 0; step < 1_500; step += 1) {
        const node = Math.floor(random() * 3);
        const name = channels[Math.floor(random() * channels.length)]!;
        const isSubscribed = !(subscribed.get(`${node} ${name}`) ?? false);
        subscribed.set(`${node} ${name}`, isSubscribed);
        nodes[node]!.webhooks.subscriptionChanged({ channel: name }, isSubscribed);
        if (step % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
      for (const [key, isSubscribed] of subscribed) {
        const [node, name] = key.split(" ") as [string, string];
        if (isSubscribed) nodes[Number(node)]!.webhooks.subscriptionChanged({ channel: name }, false);
      }

      await eventually(() => {
        for (const name of channels) {
          const types = receiver
            .taken()
            .filter(({ data }) => data["channel"] === name)
            .map(({ type }) => type);
          expect(types.length).toBeGreaterThan(0);
          expect(types).toEqual(types.map((_, index) => (index % 2 === 0 ? "channel.occupied" : "channel.vacated")));
          expect(types.at(-1)).toBe("channel.vacated");
        }
      }, 120_000);
    },
  );

  test("is vacated by live nodes after its only node has left or died", async () => {
    const { nodes, told } = await startNodes(2);
    const [leaving, living] = nodes as [WebhooksNode, WebhooksNode];
    leaving.webhooks.subscriptionChanged({ channel }, true);
    await eventually(() => expect(told()).toEqual(["channel.occupied"]));

    await leaving.stop();
    await living.webhooks.nodeDied("node-0");

    await eventually(() => expect(told()).toEqual(["channel.occupied", "channel.vacated"]));
  });

  test("is not vacated if its subscribers reconnect to another node in time", timed, async () => {
    const { nodes, told } = await startNodes(2, patientSettleMs);
    const [leaving, living] = nodes as [WebhooksNode, WebhooksNode];
    leaving.webhooks.subscriptionChanged({ channel }, true);
    await eventually(() => expect(told()).toEqual(["channel.occupied"]));

    await leaving.stop();
    living.webhooks.subscriptionChanged({ channel }, true);
    await passed(2 * patientSettleMs);

    expect(told()).toEqual(["channel.occupied"]);
  });

  test("is reported again under a node's new incarnation", timed, async () => {
    const receiver = await startHookReceiver();
    const prefix = freshPrefix();
    const names = { current: "node-a" };
    const node = await startWebhooksNode({
      prefix,
      endpoints: [eager(receiver.url)],
      incarnation: () => names.current,
      settleMs: patientSettleMs,
    });
    node.webhooks.subscriptionChanged({ channel }, true);
    await eventually(() => expect(receiver.taken()).toHaveLength(1));

    await node.webhooks.nodeDied("node-a");
    names.current = "node-b";
    node.webhooks.rewriteAll();
    await passed(2 * patientSettleMs);
    expect(receiver.taken()).toHaveLength(1);
    node.webhooks.subscriptionChanged({ channel }, false);

    await eventually(() =>
      expect(receiver.taken().map(({ type }) => type)).toEqual(["channel.occupied", "channel.vacated"]),
    );
  });
});

test("sessions are reported with their user, once for all their connections", async () => {
  const { nodes, receiver } = await startNodes(2);
  const session = { sessionId: "s-1", userId: "ada", roles: ["never told"] };

  for (const { webhooks } of nodes) webhooks.connectionChanged(session, true);
  await eventually(() => expect(receiver.taken()).toHaveLength(1));
  await settled();
  for (const { webhooks } of nodes) webhooks.connectionChanged(session, false);

  await eventually(() => expect(receiver.taken()).toHaveLength(2));
  expect(receiver.taken().map(({ type, data }) => ({ type, data }))).toEqual([
    { type: "session.connected", data: { sessionId: "s-1", userId: "ada" } },
    { type: "session.disconnected", data: { sessionId: "s-1", userId: "ada" } },
  ]);
});

test("channels are not counted unless an endpoint wants their events", async () => {
  const receiver = await startHookReceiver();
  const endpoints = [eager(receiver.url, { events: ["order.status"] })];
  const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints });

  node.webhooks.subscriptionChanged({ channel }, true);
  node.webhooks.connectionChanged({ sessionId: "s-1", userId: "ada" }, true);
  await settled();

  expect(receiver.deliveries).toEqual([]);
  expect((await node.metrics.webhooks.get()).values).toEqual([]);
});

test(
  "after a Redis outage the current occupancy is reported, and nothing waits meanwhile",
  { timeout: 180_000 },
  async () => {
    const redis = await startRedisServer();
    onTestFinished(() => redis.stop());
    const receiver = await startHookReceiver();
    const address = { topology: "single", url: redis.url } as const;
    const node = await startWebhooksNode({ prefix: freshPrefix(), endpoints: [eager(receiver.url)], address });
    node.webhooks.subscriptionChanged({ channel: "chat:before" }, true);
    await eventually(() => expect(receiver.taken()).toHaveLength(1));

    redis.process.kill("SIGSTOP");
    const begun = performance.now();
    node.webhooks.subscriptionChanged({ channel: "chat:before" }, false);
    for (let index = 0; index < 400; index += 1) {
      node.webhooks.subscriptionChanged({ channel: `chat:passing-${index}` }, true);
      node.webhooks.subscriptionChanged({ channel: `chat:passing-${index}` }, false);
    }
    node.webhooks.subscriptionChanged({ channel: "chat:after" }, true);
    // A single command would be given up after 2 s.
    expect(performance.now() - begun).toBeLessThan(promised(1_500));
    await passed(3_000);
    redis.process.kill("SIGCONT");

    await eventually(() => {
      const last = new Map(receiver.taken().map(({ type, data }) => [data["channel"] as string, type]));
      expect(last.get("chat:before")).toBe("channel.vacated");
      expect(last.get("chat:after")).toBe("channel.occupied");
      last.delete("chat:after");
      expect(new Set(last.values())).toEqual(new Set(["channel.vacated"]));
    }, 120_000);
  },
);
