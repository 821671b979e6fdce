import { describe, expect, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { onTestFinished } from "vitest";

const anyone = reader("ada");
const say = (n: number) => ({ channel: "chat:lobby", event: "said", data: JSON.stringify({ n }) });
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

test("subscriber connections killed over and over under load lose nothing", async () => {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const prefix = freshPrefix();
  const [near, far] = await Promise.all([
    startChannelsNode({ prefix, url: server.url }),
    startChannelsNode({ prefix, url: server.url }),
  ]);
  const subscriber = recordingSubscriber();
  await near.channels.subscribe(subscriber, anyone, "chat:lobby");

  let last = 0;
  for (let round = 0; round < 25; round++) {
    const publishing = Promise.all(range(1, 20).map(() => far.channels.publish(say(++last))));
    await far.redis.connection("commands").call("CLIENT", "KILL", "TYPE", "pubsub");
    await publishing;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }

  await eventually(() => expect(subscriber.seen.map(({ offset }) => offset)).toEqual(range(1, last)));
  expect(near.gaps).toContain("repaired");
  expect(subscriber.unsubscribed).toEqual([]);
});

test("where the log no longer buffers what was missed, subscribers are told instead of getting a part", async () => {
  const prefix = freshPrefix();
  const kinds = { chat: { subscribe: "public", history: { size: 3, ttlSeconds: 60 } } } as const;
  const { channels, redis } = await startChannelsNode({ prefix, kinds });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, anyone, "chat:lobby");
  const feed = createKeys(prefix).channelFeed("chat:lobby");
  await redis.connection("subscriber").sunsubscribe(feed);
  for (const n of range(1, 10)) await channels.publish(say(n));
  await redis.connection("subscriber").ssubscribe(feed);

  await channels.publish(say(11));

  await eventually(() => expect(subscriber.unsubscribed).toEqual([{ channel: "chat:lobby", code: "unavailable" }]));
  expect(subscriber.seen).toEqual([]);
  expect(channels.channelsOf(subscriber)).toEqual([]);
});

test("a log that was lost begins a new epoch, and subscribers are told", async () => {
  const prefix = freshPrefix();
  const { channels, redis } = await startChannelsNode({ prefix });
  const subscriber = recordingSubscriber();
  const { epoch } = await channels.publish(say(1));
  await channels.subscribe(subscriber, anyone, "chat:lobby");
  const keys = createKeys(prefix);
  await redis.connection("commands").del(keys.channelMeta("chat:lobby"));

  const published = await channels.publish(say(2));

  expect(published.epoch).not.toBe(epoch);
  await eventually(() => expect(subscriber.unsubscribed).toHaveLength(1));
});

describe("a store that lost the log's tail and gave its offsets again", () => {
  /** A reader at offset 9, and a store that has forgotten 6 to 9, as a replica has that is promoted too early. */
  async function forgetful() {
    const prefix = freshPrefix();
    const { channels, redis } = await startChannelsNode({ prefix });
    const subscriber = recordingSubscriber();
    await channels.subscribe(subscriber, anyone, "chat:lobby");
    const { epoch } = await channels.publish(say(1));
    for (const n of range(2, 9)) await channels.publish(say(n));
    await eventually(() => expect(subscriber.seen).toHaveLength(9));
    const commands = redis.connection("commands");
    const [log, meta] = [createKeys(prefix).channelLog("chat:lobby"), createKeys(prefix).channelMeta("chat:lobby")];
    const ids = (await commands.xrange(log, "-", "+")).map(([id]) => id);
    await commands.xdel(log, ...ids.slice(5));
    await commands.hset(meta, "offset", "5", "timestamp", ids[4]!.split("-")[0]!);
    const isTold = (): Promise<void> =>
      eventually(async () => {
        expect(subscriber.unsubscribed).toEqual([{ channel: "chat:lobby", code: "unavailable" }]);
        const since = { epoch, offset: 9 };
        expect(await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby", since)).toMatchObject({
          recovered: false,
        });
      });
    return { channels, redis, feed: createKeys(prefix).channelFeed("chat:lobby"), isTold };
  }

  test("is caught with the first publication that takes the place of another", async () => {
    const { channels, isTold } = await forgetful();

    await channels.publish(say(60));

    await isTold();
  });

  test("is caught by whoever reads the log, however far it has gone on", async () => {
    const { channels, redis, feed, isTold } = await forgetful();
    await redis.connection("subscriber").sunsubscribe(feed);
    for (const n of range(60, 75)) await channels.publish(say(n));

    channels.repair();

    await isTold();
  });

  test("is caught where the next offset follows another publication than ours", async () => {
    const { channels, redis, feed, isTold } = await forgetful();
    await redis.connection("subscriber").sunsubscribe(feed);
    for (const n of range(60, 63)) await channels.publish(say(n));
    await redis.connection("subscriber").ssubscribe(feed);

    await channels.publish(say(64));

    await isTold();
  });
});

test("a store that lost the log's tail ends the epoch, so that an old position cannot hide the loss", async () => {
  const prefix = freshPrefix();
  const { channels, redis } = await startChannelsNode({ prefix });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, anyone, "chat:lobby");
  const { epoch } = await channels.publish(say(1));
  for (const n of range(2, 9)) await channels.publish(say(n));
  await eventually(() => expect(subscriber.seen).toHaveLength(9));
  await redis.connection("commands").hset(createKeys(prefix).channelMeta("chat:lobby"), "offset", "5");

  channels.repair();

  await eventually(() => expect(subscriber.unsubscribed).toHaveLength(1));
  const back = await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby", { epoch, offset: 9 });
  expect(back.recovered).toBe(false);
  expect(back.epoch).not.toBe(epoch);
});

test("forged, broken and stale messages on the feed change nothing", async () => {
  const prefix = freshPrefix();
  const { channels, redis } = await startChannelsNode({ prefix });
  const subscriber = recordingSubscriber();
  const { epoch } = await channels.subscribe(subscriber, anyone, "chat:lobby");
  const feed = createKeys(prefix).channelFeed("chat:lobby");
  const commands = redis.connection("commands");
  await channels.publish(say(1));

  const forged = [
    "",
    ":",
    ":::",
    "x",
    `${epoch}:9:1:42["publication",{}]`,
    `${epoch}:1:1:42[]`,
    `${epoch}:NaN:1:x`,
    `${epoch}:-1:1:x`,
    `${epoch}:1e3:1:x`,
    `other:5:1:x`,
    `${epoch}:99999999999999999999:1:x`,
    "\0".repeat(1000),
  ];
  for (const message of forged) await commands.spublish(feed, message);
  await channels.publish(say(2));

  await eventually(() => expect(subscriber.seen.map(({ offset }) => offset)).toEqual([1, 2]));
  expect(subscriber.unsubscribed).toEqual([]);
});

test("scripts survive a script flush under load", async () => {
  const { channels, redis } = await startChannelsNode({ prefix: freshPrefix() });

  const publishing = [];
  for (let round = 0; round < 20; round++) {
    publishing.push(...range(1, 10).map((n) => channels.publish(say(n))));
    await redis.connection("commands").script("FLUSH");
  }

  expect((await Promise.all(publishing)).map(({ offset }) => offset).toSorted((a, b) => a - b)).toEqual(range(1, 200));
});

test("with the store away a subscription fails fast and later ones work", async () => {
  const server = await startRedisServer();
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), url: server.url });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, anyone, "chat:lobby");
  server.process.kill("SIGKILL");
  await new Promise((resolve) => server.process.once("exit", resolve));

  await expect(channels.subscribe(recordingSubscriber(), anyone, "chat:other")).rejects.toThrow();
  await expect(channels.publish(say(1))).rejects.toThrow();

  const again = await startRedisServer({ port: server.port });
  onTestFinished(() => again.stop());
  const late = recordingSubscriber();
  await eventually(() => channels.subscribe(late, anyone, "chat:other"));
  // The store came back empty: whoever was subscribed is told.
  await eventually(() => expect(subscriber.unsubscribed).toHaveLength(1));
  await channels.publish({ ...say(1), channel: "chat:other" });
  await eventually(() => expect(late.seen).toHaveLength(1));
});

test("a node that may not deliver buffers everything back, and then delivers all of it in order", async () => {
  let mayDeliver = true;
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayDeliver: () => mayDeliver });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, anyone, "chat:lobby");
  mayDeliver = false;
  for (const n of range(1, 20)) await channels.publish(say(n));
  channels.repair();
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(subscriber.seen).toEqual([]);

  mayDeliver = true;
  channels.repair();

  await eventually(() => expect(subscriber.seen.map(({ offset }) => offset)).toEqual(range(1, 20)));
});
