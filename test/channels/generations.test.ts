import { describe, expect, onTestFinished, test } from "vitest";
import { reader, recordingSubscriber, startChannelsNode, type RecordingSubscriber } from "../support/nodes.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { startRedisProcess, type RedisProcess } from "../support/redis-process.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "chat:lobby";
const anyone = reader("ada");
const say = (text: string) => ({ channel, event: "said", data: JSON.stringify(text) });
const offsets = ({ publications }: { publications: { offset: number }[] }) => publications.map(({ offset }) => offset);

async function startRedis(...args: string[]): Promise<RedisProcess> {
  const redis = await startRedisProcess({ args });
  onTestFinished(() => void redis.stop());
  return redis;
}

/** Kills Redis and starts it with what it has on disk. */
async function crash(redis: RedisProcess): Promise<void> {
  await redis.kill();
  await redis.restart();
}

const offsetsSeenBy = (subscriber: RecordingSubscriber) => subscriber.seen.map(({ offset }) => offset);

type Node = Awaited<ReturnType<typeof startChannelsNode>>;

async function publish({ channels }: Node, ...texts: string[]) {
  const published = [];
  for (const text of texts) published.push(await eventually(() => channels.publish(say(text))));
  return published;
}

const since = ({ channels }: Node, epoch: string, offset: number) =>
  eventually(() => channels.subscribe(recordingSubscriber(), anyone, channel, { epoch, offset }));

test("publications keep their order while nodes report what they know of a new run", async () => {
  const redis = await startRedis();
  const line = await startTcpProxy({ targets: () => [{ port: redis.port }] });
  onTestFinished(() => line.stop());
  const prefix = freshPrefix();
  const node = await startChannelsNode({ prefix, url: `redis://127.0.0.1:${line.port}`, lingerMs: 0 });
  await publish(node, "before");
  await redis.ask("SAVE");
  await crash(redis);
  await eventually(() => node.channels.publish({ ...say("elsewhere"), channel: "chat:elsewhere" }));
  const [, run = ""] = /run_id:(\w{16})/.exec(String(await redis.ask("INFO", "server"))) ?? [];
  const scriptCalls = async () =>
    Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await redis.ask("INFO", "commandstats")))?.[1]);

  line.delay(150);
  const callsBefore = await scriptCalls();
  const first = node.channels.publish(say("first"));
  await eventually(async () => expect(await scriptCalls()).toBeGreaterThan(callsBefore));
  // As a node does that has observed the new run earlier.
  await redis.ask("HSET", createKeys(prefix).channel(channel).meta, "run", run);
  const second = node.channels.publish(say("second"));

  expect((await first).offset).toBeLessThan((await second).offset);
});

test("a node follows what its last reader left until a Redis that was away has the position confirmed", async () => {
  const redis = await startRedis("--appendonly", "yes", "--appendfsync", "always");
  const clock = new FakeClock();
  const node = await startChannelsNode({ prefix: freshPrefix(), url: redis.url, clock, lingerMs: 20 });
  const subscriber = recordingSubscriber();
  await node.channels.subscribe(subscriber, anyone, channel);
  const [before] = await publish(node, "before");
  await eventually(() => expect(offsetsSeenBy(subscriber)).toEqual([1]));
  await redis.kill();
  await eventually(() => expect(node.redis.connection("commands").status).not.toBe("ready"));
  node.channels.disconnect(subscriber);
  await clock.advance(1_000);

  await redis.restart();
  const left = eventually(async () => {
    await clock.advance(500);
    expect(node.channels.local.get(channel)).toBeUndefined();
  });
  const [after] = await publish(node, "after");

  expect(after).toMatchObject({ epoch: before!.epoch, offset: 2 });
  await left;
});

describe("a Redis that was restored from an older dump, and a channel that no node follows", () => {
  test.each(["alive", "started anew"])("begins a generation, with its nodes %s", async (nodes) => {
    const redis = await startRedis();
    const prefix = freshPrefix();
    const before = await startChannelsNode({ prefix, url: redis.url });
    const [first] = await publish(before, "1", "2", "3");
    await redis.ask("SAVE");
    await publish(before, "lost", "lost too");
    await crash(redis);
    const after = nodes === "alive" ? before : await startChannelsNode({ prefix, url: redis.url });

    const [fourth] = await publish(after, "4", "5", "6", "7");

    const { epoch } = first!;
    expect(fourth).toMatchObject({ offset: 4 });
    expect(fourth!.epoch).not.toBe(epoch);
    const beyond = await since(after, epoch, 5);
    expect(beyond).toMatchObject({ recovered: false, publications: [], epoch: fourth!.epoch, offset: 7 });
    const within = await since(after, epoch, 3);
    expect(within).toMatchObject({ recovered: true, epoch: fourth!.epoch, offset: 7 });
    expect(within.publications.map(({ data }) => data)).toEqual(["4", "5", "6", "7"]);
    expect(offsets(await since(after, epoch, 1))).toEqual([2, 3, 4, 5, 6, 7]);
    expect(offsets(await after.channels.history(channel, { since: { epoch, offset: 5 } }))).toEqual([]);
    expect(await since(after, fourth!.epoch, 7)).toMatchObject({ recovered: true, publications: [] });
  });

  test("also where it is only read, and once more where it is restored again", async () => {
    const redis = await startRedis();
    const node = await startChannelsNode({ prefix: freshPrefix(), url: redis.url, lingerMs: 0 });
    const [first] = await publish(node, "1");
    await redis.ask("SAVE");
    await publish(node, "lost");
    await crash(redis);
    const second = await since(node, first!.epoch, 2);
    expect(second).toMatchObject({ recovered: false, offset: 1 });
    await publish(node, "lost again");
    await crash(redis);

    const third = await since(node, second.epoch, 2);

    expect(third).toMatchObject({ recovered: false, offset: 1 });
    expect(new Set([first!.epoch, second.epoch, third.epoch]).size).toBe(3);
    expect(await since(node, first!.epoch, 1)).toMatchObject({ recovered: true, epoch: third.epoch });
  });

  test("is no recovery for a stock client, whose timestamp says nothing of what was lost", async () => {
    const redis = await startRedis();
    const node = await startChannelsNode({ prefix: freshPrefix(), url: redis.url });
    const [first] = await publish(node, "1");
    await redis.ask("SAVE");
    const timestamp = Date.now() * 1_000;
    await crash(redis);
    await publish(node, "2");

    const starts = new Map([[channel, { epoch: first!.epoch, offset: 1 }]]);

    expect(await node.channels.restore(recordingSubscriber(), anyone, starts, timestamp)).toBeUndefined();
  });
});

describe("a channel that is followed", () => {
  test("goes on in its epoch where Redis is back with everything its readers were sent", async () => {
    const redis = await startRedis("--appendonly", "yes", "--appendfsync", "always");
    const node = await startChannelsNode({ prefix: freshPrefix(), url: redis.url });
    const [first] = await publish(node, "1");
    const subscriber = recordingSubscriber();
    await node.channels.subscribe(subscriber, anyone, channel);
    await publish(node, "2");
    await eventually(() => expect(subscriber.seen).toHaveLength(1));
    await crash(redis);

    const [third] = await publish(node, "3");

    expect(third).toMatchObject({ epoch: first!.epoch, offset: 3 });
    await eventually(() => expect(subscriber.seen.map(({ offset }) => offset)).toEqual([2, 3]));
    expect(subscriber.unsubscribed).toEqual([]);
    expect(await since(node, first!.epoch, 1)).toMatchObject({ recovered: true, offset: 3 });
  });

  test("begins an epoch where it lacks what they were sent, and they are told", async () => {
    const redis = await startRedis();
    const node = await startChannelsNode({ prefix: freshPrefix(), url: redis.url });
    const [first] = await publish(node, "1");
    const subscriber = recordingSubscriber();
    await node.channels.subscribe(subscriber, anyone, channel);
    await redis.ask("SAVE");
    await publish(node, "lost");
    await eventually(() => expect(subscriber.seen).toHaveLength(1));
    await crash(redis);

    const [next] = await publish(node, "2");

    expect(next!.epoch).not.toBe(first!.epoch);
    await eventually(() => expect(subscriber.unsubscribed).toEqual([{ channel, code: "unavailable" }]));
    expect(await since(node, first!.epoch, 2)).toMatchObject({ recovered: false });
  });

  test("begins a generation, and its readers are told, where nobody is left who knew it before", async () => {
    const redis = await startRedis();
    const prefix = freshPrefix();
    const before = await startChannelsNode({ prefix, url: redis.url });
    const [first] = await publish(before, "1");
    await redis.ask("SAVE");
    await crash(redis);
    const after = await startChannelsNode({ prefix, url: redis.url });
    const subscriber = recordingSubscriber();

    const subscription = await eventually(() => after.channels.subscribe(subscriber, anyone, channel));
    const [second] = await publish(after, "2");

    expect(subscription.epoch).toBe(second!.epoch);
    expect(second!.epoch).not.toBe(first!.epoch);
    await eventually(() => expect(subscriber.seen).toHaveLength(1));
    expect(subscriber.unsubscribed).toEqual([]);
  });
});

test("publications that wait for a new run of Redis to settle keep their order", async () => {
  const redis = await startRedis();
  const node = await startChannelsNode({ prefix: freshPrefix(), url: redis.url });
  await publish(node, "0");
  await redis.ask("SAVE");
  await crash(redis);
  await eventually(() => node.redis.connection("commands").ping());
  const numbers = Array.from({ length: 200 }, (_, number) => `${number}`);

  const published = await Promise.all(numbers.map((text) => node.channels.publish(say(text))));

  expect(published.map(({ offset }) => offset)).toEqual(numbers.map((_, index) => index + 2));
});
