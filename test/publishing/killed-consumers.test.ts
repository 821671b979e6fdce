import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, inject, onTestFinished, test } from "vitest";
import type { Command } from "../../src/protocol/commands.ts";
import { shuffled, tellStory } from "../support/order-stories.ts";
import { createPublishingNode } from "../support/publishing-node.ts";
import { seeded } from "../support/random.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/**
 * Short in the ordinary run. The long one: `TEST_STREAM_ENTRIES=1000000 TEST_STREAM_ORDERS=10000 TEST_STREAM_KILLS=20
 * npx vitest run test/publishing/killed-consumers.test.ts`.
 */
const entryCount = Number(process.env.TEST_STREAM_ENTRIES ?? 6_000);
const orderCount = Number(process.env.TEST_STREAM_ORDERS ?? 150);
const killCount = Number(process.env.TEST_STREAM_KILLS ?? 3);
const seed = Number(process.env.TEST_SEED ?? 11);
const channelCount = 20;

const script = fileURLToPath(new URL("../support/publishing-process.ts", import.meta.url));

function startProcess(url: string, prefix: string, name: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [script, url, prefix, name], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    child.stdout.once("data", () => resolve(child));
    child.once("exit", (code) => reject(new Error(`the node ended with ${code}`)));
  });
}

test("nothing is lost or done twice while consumers are killed, poison is set aside, and every timeline is right", async () => {
  const random = seeded(seed);
  const url = inject("redisUrl");
  const prefix = freshPrefix();
  const watcher = await createPublishingNode({ url, prefix, nodeId: "watcher", orders: { reorderWindowMs: 60_000 } });
  onTestFinished(() => watcher.close());
  const { keys, orders, deadLetters } = watcher;
  const redis = watcher.redis.connection("commands");
  const stories = new Map(Array.from({ length: orderCount }, (_, index) => [`o-${index}`, tellStory(random)]));
  const ids = [...stories.keys()];
  for (let i = 0; i < ids.length; i += 200) {
    const some = ids.slice(i, i + 200);
    await Promise.all(some.map((orderId) => orders.create({ orderId, parties: { customer: `u-${orderId}` } })));
  }
  const arrivals = shuffled(
    random,
    [...stories].flatMap(([orderId, { arrivals: events }]) => events.map((event) => ({ orderId, ...event }))),
  );

  // Publications of each channel are numbered, so that loss, repeats and order show; 1 % is poison; events mix in.
  const said = Array.from({ length: channelCount }, () => 0);
  let poisoned = 0;
  const nextEntry = (index: number): string => {
    const everyNth = Math.floor(entryCount / (arrivals.length + 1));
    const event = index % everyNth === 0 ? arrivals[index / everyNth] : undefined;
    if (event !== undefined) return JSON.stringify({ type: "order.event", ...event } satisfies Command);
    if (random() < 0.01) return `poison ${poisoned++}`;
    const room = Math.floor(random() * channelCount);
    const data = (said[room] = said[room]! + 1);
    return JSON.stringify({ type: "publish", channel: `chat:${room}`, event: "said", data } satisfies Command);
  };

  const nodes = await Promise.all(["a", "b", "c"].map((name) => startProcess(url, prefix, name)));
  let sent = 0;
  const killAt = Array.from({ length: killCount }, (_, kill) =>
    Math.floor((entryCount * (kill + 1)) / (killCount + 1)),
  );
  while (sent < entryCount) {
    const batch = Array.from({ length: Math.min(250, entryCount - sent) }, (_, index) => nextEntry(sent + index));
    await Promise.all(batch.map((text) => redis.xadd(keys.commands(), "*", "command", text)));
    sent += batch.length;
    if (sent >= (killAt[0] ?? Infinity)) {
      killAt.shift();
      // The one whose turn it is, so that something is pending; a fresh node comes in its place.
      const holder = await redis.get(keys.commandsLease());
      const victim = Math.max(0, ["a", "b", "c"].indexOf(holder?.split(":")[0] ?? ""));
      nodes[victim]!.kill("SIGKILL");
      nodes[victim] = await startProcess(url, prefix, ["a", "b", "c"][victim]!);
    }
  }

  const lastKill = performance.now();
  const finished = eventually(async () => {
    const groups = (await redis.xinfo("GROUPS", keys.commands())) as (string | number)[][];
    const group = groups[0]!;
    expect([group[group.indexOf("pending") + 1], group[group.indexOf("lag") + 1]]).toEqual([0, 0]);
  }, 600_000);
  await finished;
  console.log(`drained ${Math.round(performance.now() - lastKill)} ms after the last entry was sent`);

  for (let room = 0; room < channelCount; room++) {
    const entries = await redis.xrange(keys.channelLog(`chat:${room}`), "-", "+");
    const numbers = entries.map(([, fields]) => (JSON.parse(fields[1] as string) as { data: number }).data);
    const first = said[room]! - numbers.length + 1;
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => first + index));
    expect(Number(await redis.hget(keys.channelMeta(`chat:${room}`), "offset"))).toBe(said[room]);
  }

  const dead = [];
  for (let after: string | undefined; ;) {
    const page = await deadLetters.list({ after, limit: 1_000 });
    dead.push(...page);
    if (page.length < 1_000) break;
    after = page.at(-1)?.id;
  }
  const poison = dead.filter(({ command }) => command.startsWith("poison")).map(({ command }) => command);
  expect(poison.toSorted()).toEqual(Array.from({ length: poisoned }, (_, n) => `poison ${n}`).toSorted());

  const refused = new Set<string>();
  for (const { command, code } of dead.filter((letter) => !letter.command.startsWith("poison"))) {
    expect(code).toBe("illegal_transition");
    const { orderId, eventId } = JSON.parse(command) as { orderId: string; eventId: string };
    refused.add(`${orderId} ${eventId}`);
  }
  const illegal = [...stories].flatMap(([orderId, story]) => story.illegal.map((id) => `${orderId} ${id}`));
  expect([...refused].toSorted()).toEqual(illegal.toSorted());

  for (const [orderId, story] of stories) {
    const { timeline } = await orders.get(orderId);
    expect([orderId, ...timeline.map(({ sequence }) => sequence)]).toEqual([orderId, ...story.timeline]);
    const told = await redis.xrange(keys.channelLog(`orders:u-${orderId}`), "-", "+");
    const numbers = told.map(
      ([, fields]) => (JSON.parse(fields[1] as string) as { data: { sequence: number } }).data.sequence,
    );
    expect([orderId, ...numbers]).toEqual([orderId, ...story.timeline]);
  }
}, 900_000);
