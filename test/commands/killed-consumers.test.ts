import { expect, inject, onTestFinished, test } from "vitest";
import { readStreamBacklog } from "../../src/commands/stream-backlog.ts";
import { partitionOf, subjectOfCommand } from "../../src/protocol/command-subject.ts";
import type { Command } from "../../src/protocol/commands.ts";
import type { StoredDeadLetter } from "../../src/redis/queues/dead-letters.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { startKillableNodes, type KillableNodes } from "../support/killable-nodes.ts";
import { shuffled, tellStory, type Story, type StoryEvent } from "../support/order-stories.ts";
import { createPublishingNode, type PublishingNode } from "../support/publishing-node.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/**
 * Short in the ordinary run. The long one: `TEST_STREAM_ENTRIES=1000000 TEST_STREAM_ORDERS=10000 TEST_STREAM_KILLS=30
 * npx vitest run test/commands/killed-consumers.test.ts`.
 */
const entryCount = Number(process.env.TEST_STREAM_ENTRIES ?? 4_000);
const orderCount = Number(process.env.TEST_STREAM_ORDERS ?? 80);
const killCount = Number(process.env.TEST_STREAM_KILLS ?? 3);
const seed = Number(process.env.TEST_SEED ?? 11);
const partitions = Number(process.env.TEST_STREAM_PARTITIONS ?? 3);
const channelCount = 20;
const batchSize = 250;

type Arrival = StoryEvent & { orderId: string };

test("while nodes are killed nothing is lost or done twice, poison is set aside, and every timeline is right", async () => {
  const random = seeded(seed);
  const [url, prefix] = [inject("redisUrl"), freshPrefix()];
  const watcher = await createPublishingNode({ url, prefix, nodeId: "watcher" });
  onTestFinished(() => watcher.close());
  const stories = await createOrders(watcher, random);
  const nodes = await startKillableNodes(url, prefix, ["a", "b", "c", "d"]);
  const arrivals = shuffled(
    random,
    [...stories].flatMap(([orderId, story]) => story.arrivals.map((event) => ({ orderId, ...event }))),
  );
  const half = arrivals.length >> 1;

  const [said, refusedOverHttp] = await Promise.all([
    sendOverStream(watcher, nodes, arrivals.slice(0, half), random),
    sendOverHttp(nodes, arrivals.slice(half), random),
  ]);
  const sentAt = performance.now();
  await eventually(() => expectThrough(watcher), 600_000);
  console.log(`through ${Math.round(performance.now() - sentAt)} ms after the last entry was sent`);

  await expectAllSaid(watcher, said.counts);
  const illegal = [...stories].flatMap(([orderId, { illegal: ids }]) => ids.map((id) => `${orderId} ${id}`));
  // What a node was about to set aside when it died is set aside by another, some seconds later.
  await eventually(async () => {
    const { poison, others } = await readLetters(watcher);
    expect(poison.toSorted()).toEqual(said.poison.toSorted());
    expect([...new Set([...refusedOverHttp, ...others])].toSorted()).toEqual(illegal.toSorted());
  });
  await expectTimelines(watcher, stories);
}, 1_800_000);

const nameOf = ({ orderId, eventId }: Arrival): string => `${orderId} ${eventId}`;

async function createOrders({ orders }: PublishingNode, random: () => number): Promise<Map<string, Story>> {
  const stories = new Map(Array.from({ length: orderCount }, (_, index) => [`o-${index}`, tellStory(random)]));
  const ids = [...stories.keys()];
  for (let i = 0; i < ids.length; i += batchSize) {
    const some = ids.slice(i, i + batchSize);
    await Promise.all(some.map((orderId) => orders.create({ orderId, parties: { customer: `u-${orderId}` } })));
  }
  return stories;
}

/** Numbered publications, 1 % poison, and the events in between; kills whoever has the turn, now and then. */
async function sendOverStream(
  { keys, redis }: PublishingNode,
  nodes: KillableNodes,
  arrivals: readonly Arrival[],
  random: () => number,
) {
  const commands = redis.connection("commands");
  const counts = Array.from({ length: channelCount }, () => 0);
  const poison: string[] = [];
  const eventEvery = Math.max(1, Math.floor(entryCount / (arrivals.length + 1)));

  function nextEntry(index: number): Command | string {
    const event = index % eventEvery === 0 ? arrivals[index / eventEvery] : undefined;
    if (event !== undefined) return { type: "order.event", ...event };
    if (random() < 0.01) return `poison ${poison.push(`poison ${poison.length}`) - 1}`;
    const room = Math.floor(random() * channelCount);
    const data = (counts[room] = counts[room]! + 1);
    return { type: "publish", channel: `chat:${room}`, event: "said", data };
  }

  function add(entry: Command | string): Promise<unknown> {
    const isPoison = typeof entry === "string";
    const partition = isPoison ? Math.floor(random() * partitions) : partitionOf(subjectOfCommand(entry), partitions);
    const text = isPoison ? entry : JSON.stringify(entry);
    return commands.xadd(keys.commands(partition), "*", "command", text);
  }

  const killEvery = Math.floor(entryCount / (killCount + 1));
  for (let sent = 0, kills = 0; sent < entryCount; sent += batchSize) {
    const entries = Array.from({ length: Math.min(batchSize, entryCount - sent) }, (_, index) =>
      nextEntry(sent + index),
    );
    await Promise.all(entries.map(add));
    if (kills >= killCount || sent < killEvery * (kills + 1)) continue;
    kills++;
    const holder = (await commands.get(keys.commandsLease(kills % partitions)))?.split(":")[0] ?? "a";
    await nodes.kill(holder);
  }
  return { counts, poison };
}

/** The illegal ones, as they were refused. */
async function sendOverHttp(
  nodes: KillableNodes,
  arrivals: readonly Arrival[],
  random: () => number,
): Promise<string[]> {
  const refused: string[] = [];
  const left = arrivals.values();
  const upstream = async (): Promise<void> => {
    for (const arrival of left) {
      const { orderId, ...event } = arrival;
      const { status, code } = await nodes.post(`/v1/orders/${orderId}/events`, event, random);
      if (code === "illegal_transition") refused.push(nameOf(arrival));
      else expect([200, 202]).toContain(status);
    }
  };
  await Promise.all(Array.from({ length: 8 }, upstream));
  return refused;
}

async function expectThrough({ keys, redis }: PublishingNode): Promise<void> {
  const { undelivered, pending } = await readStreamBacklog({
    commands: redis.connection("commands"),
    keys,
    clock: systemClock,
    partitions,
  });
  expect([pending, undelivered]).toEqual([[], 0]);
}

/** Each number once, in order: the offset says that there were no more, the log's end that they were in order. */
async function expectAllSaid(node: PublishingNode, counts: readonly number[]): Promise<void> {
  for (const [room, count] of counts.entries()) {
    const { offset, numbers } = await readChannel(node, `chat:${room}`, (data) => data as number);
    expect(offset).toBe(count);
    expect(numbers).toEqual(Array.from(numbers, (_, index) => count - numbers.length + 1 + index));
  }
}

async function readChannel({ keys, redis }: PublishingNode, channel: string, numberOf: (data: unknown) => number) {
  const commands = redis.connection("commands");
  const entries = await commands.xrange(keys.channelLog(channel), "-", "+");
  const numbers = entries.map(([, fields]) => numberOf((JSON.parse(fields[1] as string) as { data: unknown }).data));
  return { offset: Number((await commands.hget(keys.channelMeta(channel), "offset")) ?? 0), numbers };
}

/** Texts of the poison, and names of the events that were set aside. */
async function readLetters({ deadLetters }: PublishingNode): Promise<{ poison: string[]; others: string[] }> {
  const letters: StoredDeadLetter[] = [];
  for (
    let page = await deadLetters.list();
    page.length > 0;
    page = await deadLetters.list({ after: page.at(-1)?.id })
  ) {
    letters.push(...page);
  }
  const poison = letters.filter(({ command }) => command.startsWith("poison"));
  const events = letters.filter(({ code }) => code === "illegal_transition");
  expect(letters).toHaveLength(poison.length + events.length);
  return {
    poison: poison.map(({ command }) => command),
    others: events.map(({ command }) => nameOf(JSON.parse(command) as Arrival)),
  };
}

/** The timeline, and what the order's channel and its party's carried: the same, each once, in order. */
async function expectTimelines(node: PublishingNode, stories: ReadonlyMap<string, Story>): Promise<void> {
  const sequenceOf = (data: unknown) => (data as { sequence: number }).sequence;
  for (const [orderId, story] of stories) {
    const { timeline } = await node.orders.get(orderId);
    const expected = { orderId, sequences: story.timeline };
    expect({ orderId, sequences: timeline.map(({ sequence }) => sequence) }).toEqual(expected);
    for (const channel of [`order:${orderId}`, `orders:u-${orderId}`]) {
      await eventually(async () => {
        expect({ orderId, sequences: (await readChannel(node, channel, sequenceOf)).numbers }).toEqual(expected);
      });
    }
  }
}
