import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import type { Command } from "../../src/protocol/commands.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { createPublishingNode, type PublishingNode } from "../support/publishing-node.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const order = { orderId: "o-1", parties: { customer: "ada", courier: "bob" } };

async function offsetOf({ redis, keys }: PublishingNode, channel: string): Promise<number> {
  return Number(await redis.connection("commands").hget(keys.channelMeta(channel), "offset"));
}

test("on Redis Cluster every script stays in one slot, through all doors", async () => {
  const node = await createPublishingNode({
    url: await clusterOfOne(),
    isCluster: true,
    prefix: freshPrefix(),
    nodeId: randomUUID(),
    orders: { reorderWindowMs: 1_500, signalEveryMs: 1_000 },
    stream: { partitions: 2 },
  });
  onTestFinished(() => node.close());
  node.consumer.start();
  const { orders, redis, keys, deadLetters } = node;

  await orders.create(order);
  // At once: neither the window nor the time between two signals may end in between.
  await Promise.all([
    orders.apply("o-1", { status: "cooking", sequence: 2 }),
    orders.apply("o-1", { status: "confirmed", sequence: 1 }),
  ]);
  await orders.apply("o-1", { status: "created", sequence: 5 });
  await Promise.all([1, 2, 3].map((n) => orders.signal("o-1", { name: "place", data: n, idempotencyKey: `k-${n}` })));
  const commands: Command[] = [
    { type: "publish", channel: "chat:a", event: "said", data: 1, idempotencyKey: "k" },
    { type: "score.submit", board: "b", member: "m", score: 1 },
    { type: "order.event", orderId: "o-1", status: "paused", idempotencyKey: "k" },
  ];
  for (const [n, text] of [...commands.map((command) => JSON.stringify(command)), "poison"].entries()) {
    await redis.connection("commands").xadd(keys.commands(n % 2), "*", "command", text);
  }

  await eventually(async () => expect(await deadLetters.count()).toBe(2));
  await eventually(async () => expect(await offsetOf(node, "order:o-1")).toBe(6));
  await eventually(async () => expect(await offsetOf(node, "orders:bob")).toBe(6));
  await eventually(async () => expect(await offsetOf(node, "chat:a")).toBe(1));
  await eventually(async () =>
    expect((await orders.takeOpenOrdersSnapshot("orders:ada")).value).toMatchObject({
      orders: [{ orderId: "o-1", status: "paused", sequence: 3 }],
    }),
  );
});

test("commands that come while Redis falls and rises again are each performed once, in order", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidegate-aof-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const args = ["--appendonly", "yes", "--appendfsync", "always"];
  const first = await startRedisServer({ folder, args });
  const node = await createPublishingNode({ url: first.url, prefix: freshPrefix(), nodeId: randomUUID() });
  onTestFinished(() => node.close());
  await node.orders.create(order);
  await node.orders.apply("o-1", { status: "confirmed" });
  const commands = node.redis.connection("commands");
  const events = Array.from({ length: 400 }, (_, index): Command => {
    const status = index % 2 === 0 ? "cooking" : "paused";
    return { type: "order.event", orderId: "o-1", status };
  });
  for (const event of events) await commands.xadd(node.keys.commands(), "*", "command", JSON.stringify(event));

  node.consumer.start();
  await eventually(async () => expect(await offsetOf(node, "order:o-1")).toBeGreaterThan(20));
  first.process.kill("SIGKILL");
  await new Promise((resolve) => first.process.once("exit", resolve));
  const second = await startRedisServer({ folder, args, port: first.port });
  onTestFinished(() => second.stop());

  await eventually(async () => expect(await offsetOf(node, "order:o-1")).toBe(402), 90_000);
  await eventually(async () => expect(await offsetOf(node, "orders:ada")).toBe(402));
  expect(await node.deadLetters.count()).toBe(0);
  expect((await node.orders.get("o-1")).order).toMatchObject({ status: "paused", sequence: 401 });
});

test("a Redis that hangs for longer than a turn lasts costs no command and no order", async () => {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const prefix = freshPrefix();
  const nodes = await Promise.all(
    ["a", "b"].map((nodeId) => createPublishingNode({ url: server.url, prefix, nodeId, stream: { leaseMs: 300 } })),
  );
  for (const node of nodes) onTestFinished(() => node.close());
  const [node] = nodes as [PublishingNode, PublishingNode];
  // Unlike a node, it waits for answers for as long as they take.
  const commands = new Redis(server.url);
  onTestFinished(() => commands.disconnect());
  await node.orders.create(order);
  await node.orders.apply("o-1", { status: "confirmed" });
  for (const { consumer } of nodes) consumer.start();

  for (let round = 0; round < 4; round++) {
    const events = Array.from({ length: 100 }, (_, index) => (index % 2 === 0 ? "cooking" : "paused"));
    for (const status of events) {
      const event: Command = { type: "order.event", orderId: "o-1", status };
      await commands.xadd(node.keys.commands(), "*", "command", JSON.stringify(event));
    }
    await commands.call("DEBUG", "SLEEP", "0.8");
  }

  await eventually(async () => expect(await offsetOf(node, "order:o-1")).toBe(402));
  await eventually(async () => expect(await offsetOf(node, "orders:ada")).toBe(402));
  expect(await node.deadLetters.list()).toEqual([]);
  await eventually(async () => {
    const [pending] = (await commands.xpending(node.keys.commands(), "gateway")) as [number];
    expect(pending).toBe(0);
  });
});
