import { expect, onTestFinished, test } from "vitest";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { connectClient } from "../support/gateway.ts";
import { startHookReceiver, unreliable } from "../support/hook-receiver.ts";
import { seeded } from "../support/random.ts";
import { eager } from "../support/webhooks-node.ts";
import { eventually } from "../support/world.ts";

const secret = "hush-this-secret-signs-webhooks";
const password = "hush-in-the-address";

async function startNodes(url: string, nodes: number): Promise<Cluster> {
  const address = url.replace("http://", `http://ada:${password}@`);
  const endpoint = eager(address, { secret, tries: 100, timeoutMs: 1_000 });
  const cluster = await startCluster({ nodes, env: { LOG_LEVEL: "trace" }, file: { webhooks: [endpoint] } });
  onTestFinished(() => cluster.stop());
  return cluster;
}

/** Applied once, however often it had to be sent: a node may die before it answers. */
async function post(cluster: Cluster, first: number, path: string, body: object): Promise<void> {
  for (let turn = first; ; turn += 1) {
    const answer = await cluster
      .node(turn % cluster.nodes.length)
      .call("POST", path, body)
      .catch(() => undefined);
    if (answer !== undefined && answer.status < 500) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test(
  "nodes killed while delivering lose no order status and keep each order's messages in order",
  { timeout: 240_000 },
  async () => {
    const receiver = await startHookReceiver(unreliable(seeded(1), { failed: 0.2, hung: 0.05 }));
    const cluster = await startNodes(receiver.url, 3);
    const orders = Array.from({ length: 30 }, (_, index) => `o-${index}`);
    const statuses = ["created", "confirmed", "preparing", "ready", "picked_up", "delivered"];
    let isDone = false;

    const story = async (orderId: string, index: number): Promise<void> => {
      await post(cluster, index, "/v1/orders", { orderId, parties: { customer: "ada" } });
      for (let sequence = 1; sequence < statuses.length; sequence += 1) {
        await new Promise((resolve) => setTimeout(resolve, 400));
        const event = { status: statuses[sequence], sequence, eventId: `e-${sequence}` };
        await post(cluster, index + sequence, `/v1/orders/${orderId}/events`, event);
      }
    };
    const killing = async (): Promise<void> => {
      for (let turn = 0; !isDone; turn += 1) {
        await new Promise((resolve) => setTimeout(resolve, 700));
        await cluster.node(turn % 3).kill();
        await cluster.restart(turn % 3);
      }
    };
    const killed = killing();
    await Promise.all(orders.map(story));
    isDone = true;
    await killed;

    await eventually(() => expect(receiver.taken("order.status")).toHaveLength(180), 90_000);
    for (const orderId of orders) {
      const told = receiver.taken("order.status").filter(({ data }) => data["orderId"] === orderId);
      expect(told.map(({ data }) => data["status"])).toEqual(statuses);
    }
  },
);

test(
  "the occupancy of a killed node is reported as gone, and no log contains a secret or password",
  { timeout: 120_000 },
  async () => {
    const receiver = await startHookReceiver(() => (receiver.deliveries.length % 3 === 0 ? "failed" : "taken"));
    const cluster = await startNodes(receiver.url, 2);
    const { token, sessionId } = await cluster.node(0).signIn("ada");
    const client = await connectClient(cluster.node(0).url, token);
    await client.emitWithAck("subscribe", { channel: "lab:1" });
    const told = (subject: string) =>
      receiver
        .taken()
        .filter(({ data }) => (data["channel"] ?? data["sessionId"]) === subject)
        .map(({ type }) => type);
    await eventually(() => expect(told("lab:1")).toEqual(["channel.occupied"]));
    await eventually(() => expect(told(sessionId)).toEqual(["session.connected"]));

    const log = cluster.node(0).log();
    await cluster.node(0).kill();

    await eventually(() => expect(told("lab:1")).toEqual(["channel.occupied", "channel.vacated"]));
    await eventually(() => expect(told(sessionId)).toEqual(["session.connected", "session.disconnected"]));
    const logs = log + cluster.node(1).log();
    expect(logs).toContain("webhooks enabled");
    expect(logs).not.toContain("hush");
  },
);
