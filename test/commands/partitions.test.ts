import { randomUUID } from "node:crypto";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { readStreamBacklog, readUnreadPartitions } from "../../src/commands/stream-backlog.ts";
import { isTurnOf } from "../../src/commands/stream-consumer.ts";
import { partitionOf, subjectOfCommand } from "../../src/protocol/command-subject.ts";
import { createPublisher, overStream } from "../../src/publisher/publisher.ts";
import { slotOf } from "../../src/redis/slots.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createPublishingNode, type PublishingNode } from "../support/publishing-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const partitions = 4;
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

async function startNode(prefix: string, nodeId: string = randomUUID(), isTurn = (_partition: number) => true) {
  const stream = { partitions, leaseMs: 500 };
  const node = await createPublishingNode({ url: inject("redisUrl"), prefix, nodeId, stream, isTurn });
  onTestFinished(() => node.close());
  return node;
}

const commandsOf = (node: PublishingNode) => node.redis.connection("commands");

async function said(node: PublishingNode, channel: string): Promise<unknown[]> {
  const entries = await commandsOf(node).xrange(node.keys.channelLog(channel), "-", "+");
  return entries.map(([, fields]) => (JSON.parse(fields[1] as string) as { data: unknown }).data);
}

/** The nodes that lead the partitions. */
async function leaders(node: PublishingNode): Promise<(string | undefined)[]> {
  const leases = await Promise.all(range(partitions).map((n) => commandsOf(node).get(node.keys.commandsLease(n))));
  return leases.map((lease) => lease?.split(":")[0]);
}

describe("the partitions of the commands stream", () => {
  test("keep the order of each subject, wherever the publisher's commands go", async () => {
    const node = await startNode(freshPrefix());
    node.consumer.start();
    const redis = commandsOf(node) as { xadd(key: string, ...args: string[]): Promise<string | null> };
    const publisher = createPublisher(overStream({ redis, prefix: node.keys.prefix, partitions }));
    const channels = range(12).map((n) => `chat:${n}`);

    const publish = (channel: string, data: number) => publisher.publish({ channel, event: "said", data });
    await Promise.all(range(20).flatMap((data) => channels.map((channel) => publish(channel, data))));

    const lengths = await Promise.all(range(partitions).map((n) => commandsOf(node).exists(node.keys.commands(n))));
    expect(lengths).toEqual([1, 1, 1, 1]);
    for (const channel of channels) await eventually(async () => expect(await said(node, channel)).toEqual(range(20)));
  });

  test("perform entries of the same id, each once", async () => {
    const node = await startNode(freshPrefix());
    const command = (data: number) => JSON.stringify({ type: "publish", channel: "chat:a", event: "said", data });
    for (const n of range(partitions)) await commandsOf(node).xadd(node.keys.commands(n), "5-1", "command", command(n));
    node.consumer.start();

    await eventually(async () => expect(new Set(await said(node, "chat:a"))).toEqual(new Set(range(partitions))));
  });

  test("are led by all nodes in turn, and by the others when one leaves; each command takes effect once", async () => {
    const prefix = freshPrefix();
    let living = ["a"];
    const start = (name: string) => startNode(prefix, name, (partition) => isTurnOf(name, living, partition));
    const [a, b] = [await start("a"), await start("b")];
    const publisher = createPublisher(overStream({ redis: commandsOf(a), prefix, partitions }));
    let data = 0;
    const publish = () => {
      data += 1;
      return Promise.all(range(8).map((n) => publisher.publish({ channel: `chat:${n}`, event: "said", data })));
    };

    a.consumer.start();
    await eventually(async () => expect(await leaders(a)).toEqual(["a", "a", "a", "a"]));
    b.consumer.start();
    living = ["a", "b"];
    await eventually(async () => (await publish(), expect(await leaders(a)).toEqual(["a", "b", "a", "b"])));
    living = ["b"];
    await a.consumer.stop();
    await eventually(async () => (await publish(), expect(await leaders(b)).toEqual(["b", "b", "b", "b"])));

    const all = range(data).map((n) => n + 1);
    for (const n of range(8)) await eventually(async () => expect(await said(b, `chat:${n}`)).toEqual(all));
  });

  test("are counted together, also those that no node reads, which are found", async () => {
    const node = await startNode(freshPrefix());
    const [commands, { keys }] = [commandsOf(node), node];
    for (const n of [0, 3, 3, 9]) await commands.xadd(keys.commands(n), "*", "command", "{}");

    const backlog = await readStreamBacklog({ commands, keys, clock: systemClock, partitions });

    expect(backlog).toMatchObject({ undelivered: 4, pending: [] });
    expect(await readUnreadPartitions({ commands, keys }, partitions)).toEqual([
      { stream: keys.commands(9), waiting: 1 },
    ]);
  });

  test("are chosen as Redis Cluster chooses slots, in any language", () => {
    const subjects = ["chat:lobby", "order:o-17", "müller", "\u{1f98a}"];

    expect(subjects.map((subject) => partitionOf(subject, 16_384))).toEqual(subjects.map(slotOf));
    expect(subjectOfCommand({ type: "order.event", orderId: "o-17", status: "confirmed" })).toBe("order:o-17");
  });
});
