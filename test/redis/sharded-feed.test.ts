import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createRedisConnections, type RedisAddress } from "../../src/redis/connections.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { slotOf } from "../../src/redis/slots.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { owned } from "../support/owned.ts";
import { startStore, type StoreLab } from "../support/store-lab.ts";
import { eventually, freshPrefix, quietLog, redisWorld } from "../support/world.ts";

/** A feed that writes down what it hears and how often it was restored, and somebody to publish. */
async function startFeed(address: RedisAddress) {
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  const [commands, subscriber] = [redis.connection("commands"), redis.connection("subscriber")];
  await redis.ready(60_000);
  const feed = createShardedFeed({ subscriber, clock: systemClock });
  const heard: string[] = [];
  let restorations = 0;
  feed.onRestored(() => restorations++);
  const prefix = freshPrefix();
  return {
    heard,
    restorations: () => restorations,
    keyOf: (n: number) => `${prefix}:{${n}}`,
    follow: (key: string) => feed.subscribe(key, (message) => void heard.push(`${key} ${message.toString()}`)),
    unfollow: (key: string) => feed.unsubscribe(key),
    publish: (key: string, text: string) => commands.spublish(key, text),
    connectionCount: () => feed.connectionCount,
  };
}

async function killSubscribers(store: StoreLab): Promise<void> {
  for (const server of store.servers) await server.ask("CLIENT", "KILL", "TYPE", "pubsub");
}

describe.each(["single", "cluster"] as const)("the feed on %s", (topology) => {
  let store: StoreLab;
  beforeAll(async () => void (store = await startStore(topology)));
  afterAll(() => store.stop());

  test("receives messages from the confirmation of a subscription until it ends", async () => {
    const { follow, unfollow, publish, heard, keyOf } = await startFeed(store.address);
    const keys = Array.from({ length: 50 }, (_, n) => keyOf(n));

    await Promise.all(keys.map(follow));
    for (const key of keys) await publish(key, "now");
    await eventually(() => expect(heard.toSorted()).toEqual(keys.map((key) => `${key} now`).toSorted()));
    keys.forEach(unfollow);
    await eventually(async () => expect(await publish(keys[0]!, "too late")).toBe(0));

    expect(heard).not.toContain(`${keys[0]} too late`);
  });

  test("keeps a subscription that begins again while it ends", async () => {
    const { follow, unfollow, publish, heard, keyOf } = await startFeed(store.address);
    const [key, other] = [keyOf(1), keyOf(2)];
    await Promise.all([follow(key), follow(other)]);

    unfollow(key);
    unfollow(other);
    await follow(key);
    // It ended with the other one, or not at all.
    await eventually(async () => expect(await publish(other, "too late")).toBe(0));
    await publish(key, "now");

    await eventually(() => expect(heard).toEqual([`${key} now`]));
  });

  test("reports when all subscriptions are restored after its connections were cut", async () => {
    const { follow, publish, heard, keyOf, restorations } = await startFeed(store.address);
    const keys = Array.from({ length: 1_500 }, (_, n) => keyOf(n));
    await Promise.all(keys.map(follow));
    expect(restorations()).toBe(0);

    await killSubscribers(store);
    await eventually(() => expect(restorations()).toBeGreaterThanOrEqual(topology === "cluster" ? 3 : 1));
    await Promise.all(keys.map((key) => publish(key, "again")));

    // Publishing to one key may fail at first, and then all are published again.
    await eventually(() => expect(new Set(heard).size).toBe(keys.length));
  });

  test("survives a connection that is cut repeatedly", async () => {
    const { follow, publish, heard, keyOf } = await startFeed(store.address);
    const keys = Array.from({ length: 200 }, (_, n) => keyOf(n));
    await Promise.all(keys.map(follow));

    for (let round = 0; round < 20; round++) {
      await killSubscribers(store);
      await new Promise((resolve) => setTimeout(resolve, round * 10));
    }

    let tries = 0;
    await eventually(async () => {
      const text = `still ${(tries += 1)}`;
      await Promise.all(keys.map((key) => publish(key, text)));
      const arrived = () => heard.filter((line) => line.endsWith(` ${text}`));
      await eventually(() => expect(arrived()).toHaveLength(keys.length), 2_000);
    });
  });

  test("rejects subscriptions while Redis is unreachable", async () => {
    const lonely = owned(await startStore(topology));
    const { follow, keyOf } = await startFeed(lonely.address);
    await follow(keyOf(1));

    await Promise.all(lonely.servers.map((server) => server.kill()));

    await eventually(() => expect(follow(keyOf(2))).rejects.toThrow(/closed|timed out/));
  });
});

test("subscriptions that end at once end with few commands", async () => {
  const store = owned(await startStore("single"));
  const { follow, unfollow, publish, keyOf } = await startFeed(store.address);
  const keys = Array.from({ length: 300 }, (_, n) => keyOf(n));
  await Promise.all(keys.map(follow));

  keys.forEach(unfollow);
  await eventually(async () => expect(await publish(keys.at(-1)!, "too late")).toBe(0));

  const stats = String(await store.servers[0]!.ask("INFO", "commandstats"));
  expect(Number(/cmdstat_sunsubscribe:calls=(\d+)/.exec(stats)?.[1])).toBeLessThanOrEqual(2);
});

describe("the feed on a Cluster that changes", () => {
  test("a subscription that ends before its connection is open does not begin", async () => {
    const { redis, prefix } = await redisWorld();
    const feed = createShardedFeed({ subscriber: redis.connection("subscriber"), clock: systemClock });
    const [ended, other] = [`${prefix}:ended`, `${prefix}:other`];
    const subscribed = feed.subscribe(ended, () => undefined);

    feed.unsubscribe(ended);
    await Promise.all([subscribed, feed.subscribe(other, () => undefined)]);

    const commands = redis.connection("commands");
    expect([await commands.spublish(other, "now"), await commands.spublish(ended, "too late")]).toEqual([1, 0]);
  });

  test("follows a slot to another master", async () => {
    const store = owned(await startStore("cluster"));
    const { follow, publish, heard, keyOf, restorations } = await startFeed(store.address);
    const key = keyOf(1);
    await follow(key);
    const before = await store.primary(slotOf(key));
    const after = store.servers.find((server) => server !== before)!;

    await store.moveSlot(slotOf(key), after);
    await eventually(() => expect(restorations()).toBeGreaterThan(0));
    await publish(key, "over here");

    await eventually(() => expect(heard).toEqual([`${key} over here`]));
  });

  test("follows a replica that took the place of its master", async () => {
    const store = owned(await startStore("cluster", { replicas: 1 }));
    const { follow, publish, heard, keyOf, restorations, connectionCount } = await startFeed(store.address);
    const keys = Array.from({ length: 30 }, (_, n) => keyOf(n));
    await Promise.all(keys.map(follow));

    await (await store.primary(slotOf(keys[0]!))).kill();
    await eventually(() => expect(restorations()).toBeGreaterThan(0));
    await eventually(() => Promise.all(keys.map((key) => publish(key, "with the new one"))));

    // Publishing to one key may fail at first, and then all are published again.
    await eventually(() => expect(new Set(heard).size).toBe(keys.length));
    await eventually(() => expect(connectionCount()).toBe(3));
  });
});
