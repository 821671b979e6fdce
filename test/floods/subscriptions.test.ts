import { expect, onTestFinished, test } from "vitest";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { limitDefaults } from "../../src/throttling/policies.ts";
import { bound, enter, isFull, metricOf, type Flooder } from "../support/flooder.ts";
import { promised } from "../support/promised.ts";
import { eventually } from "../support/world.ts";

/** Limits of messages that do not stand in the way: what is asked here is what the subscriptions themselves cost. */
const open = { capacity: 1_000_000, refillPerSecond: 1_000_000 };

async function startNode(limits: object = {}): Promise<Cluster> {
  const cluster = await startCluster({
    nodes: 1,
    // Little memory, so that the collector comes by often and what it leaves is really held.
    env: { NODE_OPTIONS: "--max-old-space-size=96" },
    file: {
      channels: { chat: { subscribe: "public", publish: "public", presence: true } },
      limits: { messages: open, http: { requests: 1_000_000 }, ...limits },
    },
  });
  onTestFinished(() => cluster.stop());
  return cluster;
}

async function entered(cluster: Cluster, user: string): Promise<Flooder> {
  const { token } = await cluster.node(0).signIn(user);
  const flooder = await enter(cluster.node(0).url, token);
  if (typeof flooder === "string") throw new Error(`not let in: ${flooder}`);
  return flooder;
}

/** Channels of sharded pub/sub that somebody hears. */
async function heard(cluster: Cluster): Promise<number> {
  const server = await cluster.store.primary();
  return ((await server.ask("PUBSUB", "SHARDCHANNELS")) as string[]).length;
}

/** Sends in portions, waiting for the answers of each: a socket may have only so many open. */
async function inPortions(flooder: Flooder, count: number, send: (index: number) => void): Promise<void> {
  for (let from = 0; from < count; from += 100) {
    for (let index = from; index < Math.min(from + 100, count); index += 1) send(index);
    await flooder.settled();
  }
}

test("thousands of channels on one socket: it gets as many as it may, and Redis hears no more than that", async () => {
  const cluster = await startNode();
  const before = await heard(cluster);
  const flooder = await entered(cluster, "flooder");

  await inPortions(flooder, isFull ? 100_000 : 5_000, (index) =>
    flooder.send("subscribe", { channel: `chat:${index}` }),
  );

  expect(flooder.answers.get("ok")).toBe(128);
  expect([...flooder.answers.keys()].toSorted()).toEqual(["ok", "subscription_limit"]);
  // A channel's publications, and its members; and the user's own channel, which has none.
  expect((await heard(cluster)) - before).toBeLessThanOrEqual(2 * 128 + 1);
  expect(await metricOf(cluster.node(0).url, "gateway_channels_watched")).toBeLessThanOrEqual(129);

  flooder.close();
  await eventually(async () => expect(await heard(cluster)).toBeLessThanOrEqual(before));
});

test("the same under the limits as they come: it is closed by name long before", async () => {
  const cluster = await startNode({ messages: {} });
  const flooder = await entered(cluster, "flooder");
  const begun = performance.now();

  for (let index = 0; index < 5_000 && flooder.isOpen; index += 1)
    flooder.send("subscribe", { channel: `chat:${index}` });
  await flooder.settled();

  expect(flooder.closing).toBe("rate_limited");
  const most = bound(limitDefaults.messages, performance.now() - begun);
  expect(flooder.answers.get("ok") ?? 0).toBeLessThanOrEqual(most);
});

test("a thousand subscribe and unsubscribe a second leave nothing behind", { timeout: 240_000 }, async () => {
  const cluster = await startNode();
  const { url } = cluster.node(0);
  const flooder = await entered(cluster, "churner");
  const seconds = isFull ? 60 : 3;
  const before = { heard: await heard(cluster), watched: await metricOf(url, "gateway_channels_watched") };
  const heap = (): Promise<number> => metricOf(url, "nodejs_heap_size_used_bytes");

  await churn(flooder, 1_000);
  const heapBefore = await settledHeap(heap, flooder);
  const begun = performance.now();
  await churn(flooder, 500 * seconds);
  const tookMs = performance.now() - begun;

  // At least 200 a second.
  expect(tookMs).toBeLessThan(promised(5_000 * seconds));
  expect([...flooder.answers.keys()]).toEqual(["ok"]);
  // Those that were left last are heard for a while, in case somebody comes back; they are a bounded number.
  expect(await heard(cluster)).toBeLessThan(before.heard + 5_000);
  await eventually(async () => expect(await heard(cluster)).toBeLessThanOrEqual(before.heard), 120_000);
  await eventually(async () => expect(await metricOf(url, "gateway_channels_watched")).toBe(before.watched));
  expect((await settledHeap(heap, flooder)) - heapBefore).toBeLessThan(10 * 1_048_576);
});

/** Each channel is another: whatever is kept of one stays visible. */
async function churn(flooder: Flooder, count: number): Promise<void> {
  const run = Math.random().toString(36).slice(2);
  await inPortions(flooder, count, (index) => {
    flooder.send("subscribe", { channel: `chat:${run}-${index}` });
    flooder.send("unsubscribe", { channel: `chat:${run}-${index}` });
  });
}

/** The lowest of some looks, while the same two channels come and go: what the collector has not yet come to is no leak. */
async function settledHeap(heap: () => Promise<number>, flooder: Flooder): Promise<number> {
  let lowest = Infinity;
  for (let look = 0; look < 10; look += 1) {
    await inPortions(flooder, 100, (index) => {
      flooder.send("subscribe", { channel: `chat:${index % 2}` });
      flooder.send("unsubscribe", { channel: `chat:${index % 2}` });
    });
    lowest = Math.min(lowest, await heap());
  }
  return lowest;
}
