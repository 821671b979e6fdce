import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import type { Cluster } from "../support/cluster.ts";
import { connectClient } from "../support/gateway.ts";
import { startLoad } from "../support/load.ts";
import { seeded } from "../support/random.ts";
import { useCluster } from "../support/use-cluster.ts";

/** A million by `npm run test:hostile`. */
const messageCount = Number(process.env["HOSTILE_MESSAGES"] ?? 20_000);
const seed = Number(process.env["SEED"] ?? 1);
const atOnce = 500;

const cluster = useCluster();

test(
  `${messageCount} random and mutated messages on every channel and stream of the gateway end no node and disturb nobody`,
  async () => {
    const load = await startLoad(cluster(), { readers: 18, channels: 6, perSecond: 60, seed });
    onTestFinished(() => load.stop());
    await useEverything(cluster());
    const server = await strangerAt(cluster());
    const targets = await targetsOf(server, cluster().prefix);
    const samples = await samplesOf(server, targets);
    const resident = () => Promise.all(cluster().nodes.map((node) => node.metric("process_resident_memory_bytes")));
    const before = await resident();

    const random = seeded(seed);
    for (let sent = 0; sent < messageCount; sent += atOnce) {
      await Promise.all(Array.from({ length: atOnce }, () => send(server, pick(targets, random), random, samples)));
    }
    await load.flows();
    const verdict = await load.settle();
    const after = await resident();

    expect(targets.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["sharded", "plain", "stream"]));
    expect(verdict).toMatchObject({ lost: 0, repeated: 0, reordered: 0, unreported: 0, reported: 0 });
    expect(load.readers.map(({ disconnects }) => disconnects)).toEqual(load.readers.map(() => 0));
    for (const [index, node] of cluster().nodes.entries()) {
      expect(node.isRunning()).toBe(true);
      expect(await node.metric("gateway_stray_errors_total")).toBe(0);
      expect(after[index]! - before[index]!).toBeLessThan(200 * 1_048_576);
    }
  },
  60_000 + messageCount,
);

type Kind = "sharded" | "plain" | "stream";
interface Target {
  kind: Kind;
  name: string;
}

/** Has the gateway open every channel it knows of. */
async function useEverything({ nodes, node }: Cluster): Promise<void> {
  for (const [index, each] of nodes.entries()) {
    const { token } = await each.signIn(`visitor-${index}`);
    const client = await connectClient(each.url, token);
    const user = `user:visitor-${index}`;
    for (const channel of ["chat:lobby", "leaderboard:daily", user]) await client.emitWithAck("subscribe", { channel });
    await client.emitWithAck("publish", { channel: "chat:lobby", event: "said", data: { hello: "you" } });
  }
  await node(0).call("PUT", "/v1/leaderboards/daily/scores/ada", { score: 1 });
  await node(0).call("POST", "/v1/users/nobody/disconnect", {});
}

/** Somebody who may do everything in Redis, and does. */
async function strangerAt({ store }: Cluster): Promise<Redis> {
  const redis = new Redis((await store.primary()).url, { protocol: 2, enableAutoPipelining: true });
  onTestFinished(() => redis.disconnect());
  return redis;
}

async function targetsOf(redis: Redis, prefix: string): Promise<Target[]> {
  const keys = createKeys(prefix);
  const sharded = (await redis.call("PUBSUB", "SHARDCHANNELS", `${prefix}*`)) as string[];
  const plain = (await redis.pubsub("CHANNELS", "*")) as string[];
  const patterns = ["socket.io#/#", "socket.io#/#chat:lobby#", "socket.io-response#/#"];
  const streams = [keys.controlLog(), keys.commands()];
  return [
    ...sharded.map((name): Target => ({ kind: "sharded", name })),
    ...[...plain, ...patterns].map((name): Target => ({ kind: "plain", name })),
    ...streams.map((name): Target => ({ kind: "stream", name })),
  ];
}

/** What is said on the channels by itself, for a while, and what the streams hold. */
async function samplesOf(redis: Redis, targets: readonly Target[]): Promise<Buffer[]> {
  const samples: Buffer[] = [];
  const listener = redis.duplicate({ enableAutoPipelining: false });
  for (const event of ["smessageBuffer", "messageBuffer", "pmessageBuffer"])
    listener.on(event, (...parts: Buffer[]) => samples.push(parts.at(-1)!));
  for (const { kind, name } of targets) if (kind === "sharded") await listener.ssubscribe(name);
  await listener.psubscribe("socket.io*");
  await sleep(1_500);
  listener.disconnect();
  for (const { kind, name } of targets) {
    if (kind !== "stream") continue;
    const entries = await redis.xrange(name, "-", "+", "COUNT", 10);
    samples.push(...entries.flatMap(([, fields]) => fields.map((field) => Buffer.from(field))));
  }
  samples.push(Buffer.from('{"type":"publish","channel":"news:x","event":"e","data":{}}'));
  return samples.slice(-2_000);
}

async function send(redis: Redis, { kind, name }: Target, random: () => number, samples: readonly Buffer[]) {
  const text = random() < 0.4 ? noise(random) : mutated(pick(samples, random), random);
  if (kind === "sharded") return redis.spublish(name, text);
  if (kind === "plain") return redis.publish(name, text);
  const field = random() < 0.5 ? pick(["c", "command"], random) : noise(random);
  return redis.xadd(name, "*", field, text);
}

function noise(random: () => number): Buffer {
  return Buffer.from(Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256)));
}

/** One to four changes: bytes turned, cut out, doubled, or taken from elsewhere. */
function mutated(sample: Buffer, random: () => number): Buffer {
  let bytes = Buffer.from(sample);
  for (let change = 1 + Math.floor(random() * 4); change > 0; change--) {
    const at = Math.floor(random() * bytes.length);
    const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 20));
    const act = random();
    if (act < 0.5 && bytes.length > 0) bytes[at] = Math.floor(random() * 256);
    else if (act < 0.7) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
    else if (act < 0.85) bytes = Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    else bytes = Buffer.concat([bytes.subarray(0, at), noise(random), bytes.subarray(end)]);
  }
  return bytes;
}

const pick = <T>(from: readonly T[], random: () => number): T => from[Math.floor(random() * from.length)] as T;
