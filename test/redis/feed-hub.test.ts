import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createRedisConnections, type RedisAddress } from "../../src/redis/connections.ts";
import { frameTypes, FrameWriter, readFrames } from "../../src/redis/pubsub/feed-frames.ts";
import { FeedHub } from "../../src/redis/pubsub/feed-hub.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { WorkerFeed } from "../../src/redis/pubsub/worker-feed.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";
import { owned } from "../support/owned.ts";
import { startStore, type StoreLab } from "../support/store-lab.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";

async function connectTo(address: RedisAddress) {
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  const [commands, subscriber] = [redis.connection("commands"), redis.connection("subscriber")];
  await redis.ready(60_000);
  return { commands, feed: createShardedFeed({ subscriber, clock }) };
}

/** A hub of a machine, and what its workers need to find it. */
async function startHub(address: RedisAddress, options: { maxQueuedBytes?: number } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-hub-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "feed");
  const { commands, feed } = await connectTo(address);
  const health = { isGood: true };
  const start = async () => {
    const hub = new FeedHub({ feed, isHealthy: () => health.isGood, log: quietLog }, { path, ...options });
    await hub.start();
    onTestFinished(() => hub.stop().catch(() => undefined));
    return hub;
  };
  const prefix = freshPrefix();
  return {
    path,
    health,
    hub: await start(),
    restart: start,
    keyOf: (n: number) => `${prefix}:{${n}}`,
    publish: (key: string, text: string) => commands.spublish(key, text),
    async startWorker() {
      const { feed: own } = await connectTo(address);
      const worker = new WorkerFeed({ own, path, clock, log: quietLog }, { retryHubMs: 100 });
      await worker.start();
      onTestFinished(() => worker.stop());
      const heard: string[] = [];
      let restorations = 0;
      worker.onRestored(() => restorations++);
      return {
        heard,
        restorations: () => restorations,
        follow: (key: string) => worker.subscribe(key, (message) => void heard.push(`${key} ${message.toString()}`)),
        unfollow: (key: string) => worker.unsubscribe(key),
        reconnect: (key: string) => worker.reconnect(key),
      };
    },
  };
}

describe.each(["single", "cluster"] as const)("the feed of several workers on %s", (topology) => {
  let store: StoreLab;
  beforeAll(async () => void (store = await startStore(topology)));
  afterAll(() => store.stop());
  const killSubscribers = async () => {
    for (const server of store.servers) await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
  };

  test("subscribes once to a key, and hands each message on in order to those who want it", async () => {
    const { startWorker, publish, keyOf } = await startHub(store.address);
    const [first, second] = [await startWorker(), await startWorker()];
    const [both, one] = [keyOf(1), keyOf(2)];
    await Promise.all([first.follow(both), second.follow(both), first.follow(one)]);
    const texts = Array.from({ length: 500 }, (_, n) => `${n} ${"x".repeat(n * 5)}`);

    const receivers = await Promise.all(texts.flatMap((text) => [publish(both, text), publish(one, text)]));

    expect(new Set(receivers)).toEqual(new Set([1]));
    const of = (key: string) => texts.map((text) => `${key} ${text}`);
    await eventually(() => expect(second.heard).toEqual(of(both)));
    await eventually(() => expect(first.heard.filter((text) => text.startsWith(both))).toEqual(of(both)));
    await eventually(() => expect(first.heard.filter((text) => text.startsWith(one))).toEqual(of(one)));
  });

  test("stays subscribed until the last of them has unsubscribed", async () => {
    const { startWorker, publish, keyOf } = await startHub(store.address);
    const [first, second] = [await startWorker(), await startWorker()];
    const key = keyOf(1);
    await Promise.all([first.follow(key), second.follow(key)]);

    first.unfollow(key);
    await first.follow(keyOf(2));
    expect(await publish(key, "for one")).toBe(1);
    await eventually(() => expect(second.heard).toEqual([`${key} for one`]));
    second.unfollow(key);

    await eventually(async () => expect(await publish(key, "for none")).toBe(0));
    await first.follow(key);
    await publish(key, "again");
    await eventually(() => expect(first.heard).toEqual([`${key} again`]));
    expect(second.heard).toEqual([`${key} for one`]);
  });

  test("tells all workers that messages may be lost, after its connections to Redis were cut", async () => {
    const { startWorker, publish, keyOf } = await startHub(store.address);
    const workers = [await startWorker(), await startWorker()];
    const keys = Array.from({ length: 30 }, (_, n) => keyOf(n));
    await Promise.all(workers.flatMap(({ follow }) => keys.map(follow)));
    expect(workers.map(({ restorations }) => restorations())).toEqual([0, 0]);

    await killSubscribers();

    await eventually(() => {
      for (const { restorations } of workers)
        expect(restorations()).toBeGreaterThanOrEqual(topology === "cluster" ? 3 : 1);
    });
    await eventually(() => Promise.all(keys.map((key) => publish(key, "again"))));
    await eventually(() => expect(workers.map(({ heard }) => new Set(heard).size)).toEqual([30, 30]));
  });

  test("comes from Redis directly while there is no hub, and each message once", async () => {
    const { startWorker, publish, keyOf, hub, restart } = await startHub(store.address);
    const worker = await startWorker();
    const keys = Array.from({ length: 10 }, (_, n) => keyOf(n));
    await Promise.all(keys.map(worker.follow));
    const isFlowing = { now: true };
    const flow = (async () => {
      for (let n = 0; isFlowing.now; n++) await Promise.all(keys.map((key) => publish(key, `${n}`)));
    })();

    await hub.stop();
    await eventually(() => expect(worker.restorations()).toBe(1));
    await worker.follow(keyOf(10));
    await eventually(async () => expect(await publish(keyOf(10), "directly")).toBe(1));
    await restart();
    await eventually(() => expect(worker.restorations()).toBe(2));
    isFlowing.now = false;
    await flow;
    await eventually(async () => expect(await publish(keyOf(10), "over the hub")).toBe(1));

    await eventually(() => expect(worker.heard).toContain(`${keyOf(10)} over the hub`));
    const numbersOf = (key: string) =>
      worker.heard.filter((text) => text.startsWith(`${key} `)).map((text) => Number(text.split(" ")[1]));
    for (const key of keys) {
      const numbers = numbersOf(key);
      expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    }
  });
});

describe("the feed hub", () => {
  let store: StoreLab;
  beforeAll(async () => void (store = await startStore("single")));
  afterAll(() => store.stop());

  test("rejects subscriptions while Redis is unreachable", async () => {
    const lonely = owned(await startStore("single"));
    const { startWorker, keyOf } = await startHub(lonely.address);
    const worker = await startWorker();
    await worker.follow(keyOf(1));

    await Promise.all(lonely.servers.map((server) => server.kill()));

    await eventually(() => expect(worker.follow(keyOf(2))).rejects.toThrow(/closed|timed out/));
  });

  test("cuts off a worker that does not read, and the others notice nothing", async () => {
    const { startWorker, publish, keyOf, path } = await startHub(store.address, { maxQueuedBytes: 1_000_000 });
    const reader = await startWorker();
    const key = keyOf(1);
    await reader.follow(key);
    const { slab, start, end } = new FrameWriter().write(frameTypes.subscribe, 0, Buffer.from(key));
    const frozen = connect(path);
    onTestFinished(() => void frozen.destroy());
    const isConfirmed = new Promise<void>((resolve) =>
      readFrames(frozen, (type) => type === frameTypes.confirmed && resolve()),
    );
    frozen.write(slab.subarray(start, end));
    await isConfirmed;
    frozen.pause();
    const text = "x".repeat(100_000);

    for (let n = 0; n < 50; n++) await publish(key, text);
    await eventually(() => expect(reader.heard).toHaveLength(50));
    const isCut = once(frozen, "close");
    frozen.resume();
    await isCut;

    // All that it was sent: what the kernel held, and less than the rest.
    expect(frozen.bytesRead).toBeLessThan(4_000_000);
    expect(reader.restorations()).toBe(0);
  });

  test("is left where it delivers nothing, and used again later", async () => {
    const { startWorker, publish, keyOf, health } = await startHub(store.address);
    const [first, second] = [await startWorker(), await startWorker()];
    const key = keyOf(1);
    await Promise.all([first.follow(key), second.follow(key)]);

    health.isGood = false;
    first.reconnect(key);
    await eventually(() => expect(first.restorations()).toBe(1));
    expect(await publish(key, "on two ways")).toBe(2);
    await eventually(() => expect([...first.heard, ...second.heard]).toEqual(Array(2).fill(`${key} on two ways`)));
    health.isGood = true;

    await eventually(() => expect(first.restorations()).toBe(2));
    await eventually(async () => expect(await publish(key, "on one")).toBe(1));
  });

  test("that accepts connections but says nothing keeps no worker waiting", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-hub-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, "feed");
    const mute = createServer().listen(path);
    await once(mute, "listening");
    onTestFinished(() => void mute.close());
    const { feed: own, commands } = await connectTo(store.address);
    const worker = new WorkerFeed({ own, path, clock, log: quietLog });
    onTestFinished(() => worker.stop());

    await worker.start();
    const heard: string[] = [];
    const key = `${freshPrefix()}:{1}`;
    await worker.subscribe(key, (message) => void heard.push(message.toString()));
    await commands.spublish(key, "directly");

    await eventually(() => expect(heard).toEqual(["directly"]));
  });
});
