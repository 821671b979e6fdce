import { describe, expect, test } from "vitest";
import type { Subscription } from "../../src/channels/subscription.ts";
import type { RedisConnections } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { openKind, reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const anyone = reader("ada");
const say = (n: number, channel = "chat:lobby") => ({ channel, event: "said", data: JSON.stringify({ n }) });
const numbers = (publications: readonly { data: unknown }[]) =>
  publications.map(({ data }) => (data as { n: number }).n);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

describe("publishing", () => {
  test("offsets begin at 1 and have no holes, whichever node publishes", async () => {
    const prefix = freshPrefix();
    const nodes = await Promise.all([startChannelsNode({ prefix }), startChannelsNode({ prefix })]);

    const published = await Promise.all(range(1, 100).map((n) => nodes[n % 2]!.channels.publish(say(n))));

    expect(published.map(({ offset }) => offset).toSorted((a, b) => a - b)).toEqual(range(1, 100));
    expect(new Set(published.map(({ epoch }) => epoch)).size).toBe(1);
  });

  test("a repeat with the same key and content is answered as the first was and published once", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix() });
    const request = { ...say(1), idempotencyKey: "k" };

    const answers = await Promise.all(range(1, 20).map(() => channels.publish(request)));

    expect(answers.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
    expect(new Set(answers.map(({ offset }) => offset))).toEqual(new Set([1]));
    expect((await channels.history("chat:lobby", {})).publications).toHaveLength(1);
  });

  test("the same key with other content is a conflict and publishes nothing", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix() });
    await channels.publish({ ...say(1), idempotencyKey: "k" });

    await expect(channels.publish({ ...say(2), idempotencyKey: "k" })).rejects.toMatchObject({ code: "conflict" });

    expect((await channels.history("chat:lobby", {})).offset).toBe(1);
  });

  test("a kind nobody configured is refused by name, alone in a batch", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix() });

    const results = await Promise.all(
      [say(1), say(2, "nope:x"), say(3)].map((say) => channels.publish(say).catch((error: unknown) => error as Error)),
    );

    expect(results).toMatchObject([{ offset: 1 }, { code: "unknown_channel" }, { offset: 2 }]);
  });

  test("the log keeps what its kind says and dies with it; every key has a life", async () => {
    const prefix = freshPrefix();
    const kinds = { chat: { ...openKind, history: { size: 5, ttlSeconds: 7 } } };
    const { channels, redis } = await startChannelsNode({ prefix, kinds });
    for (const n of range(1, 300)) await channels.publish({ ...say(n), idempotencyKey: `k${n}` });

    const { publications } = await channels.history("chat:lobby", {});
    const keys = createKeys(prefix);
    const commands = redis.connection("commands");

    expect(numbers(publications)).toEqual(range(296, 300));
    expect(await commands.ttl(keys.channelLog("chat:lobby"))).toBeLessThanOrEqual(7);
    expect(await commands.ttl(keys.channelMeta("chat:lobby"))).toBeGreaterThan(80_000);
    expect(await commands.ttl(keys.channelIdempotency("chat:lobby", "k1"))).toBeGreaterThan(80_000);
  });
});

describe("subscribing", () => {
  test("without a position the answer is the present, and everything after it follows in order", async () => {
    const prefix = freshPrefix();
    const [near, far] = await Promise.all([startChannelsNode({ prefix }), startChannelsNode({ prefix })]);
    await far.channels.publish(say(1));
    const subscriber = recordingSubscriber();

    const answer = await near.channels.subscribe(subscriber, anyone, "chat:lobby");
    await Promise.all(range(2, 50).map((n) => far.channels.publish(say(n))));

    expect(answer).toMatchObject({ offset: 1, recovered: false, publications: [] });
    await eventually(() => expect(subscriber.seen.map(({ offset }) => offset)).toEqual(range(2, 50)));
  });

  test("with a position the answer is exactly what came after it", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix() });
    const [first] = await Promise.all(range(1, 10).map((n) => channels.publish(say(n))));
    const since = { epoch: (first as { epoch: string }).epoch, offset: 4 };

    const answer = await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby", since);

    expect(answer.recovered).toBe(true);
    expect(numbers(answer.publications)).toEqual(range(5, 10));
  });

  test("a position that is not of this log, ahead of it or older than it keeps is refused whole", async () => {
    const kinds = { chat: { ...openKind, history: { size: 5, ttlSeconds: 60 } } };
    const { channels } = await startChannelsNode({ prefix: freshPrefix(), kinds });
    const { epoch } = await channels.publish(say(1));
    for (const n of range(2, 10)) await channels.publish(say(n));

    const positions = [
      { epoch: "other", offset: 3 },
      { epoch, offset: 11 },
      { epoch, offset: 4 },
    ];
    const answers: Subscription[] = [];
    for (const since of positions)
      answers.push(await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby", since));

    for (const answer of answers)
      expect(answer).toMatchObject({ recovered: false, publications: [], epoch, offset: 10 });
    const oldest = await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby", { epoch, offset: 5 });
    expect(numbers(oldest.publications)).toEqual(range(6, 10));
  });

  test("nobody can end an epoch by claiming a position ahead of the log", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix() });
    const { epoch } = await channels.publish(say(1));

    await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby", { epoch, offset: 1_000 });

    expect(await channels.publish(say(2))).toMatchObject({ epoch, offset: 2 });
  });

  test("answers and flow join without a hole or a repeat while others publish at full speed", async () => {
    const prefix = freshPrefix();
    const [near, far] = await Promise.all([startChannelsNode({ prefix }), startChannelsNode({ prefix })]);
    const { epoch } = await far.channels.publish(say(1));
    let last = 1;
    let isDone = false;
    const publishing = (async () => {
      while (!isDone) await Promise.all(range(1, 5).map(() => far.channels.publish(say(++last))));
    })();

    const readers = [];
    for (let round = 0; round < 60; round++) {
      const subscriber = recordingSubscriber();
      const since = round % 2 === 0 ? { epoch, offset: Math.max(1, last - 20) } : undefined;
      const answer = await near.channels.subscribe(subscriber, anyone, "chat:lobby", since);
      readers.push({ subscriber, answer, from: since?.offset ?? answer.offset });
    }
    isDone = true;
    await publishing;

    for (const { subscriber, answer, from } of readers) {
      await eventually(() => {
        const offsets = [...answer.publications, ...subscriber.seen].map(({ offset }) => offset);
        expect(offsets).toEqual(range(from + 1, last));
      });
    }
  });

  test("nothing is sent before the answer has left", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix() });
    const subscriber = recordingSubscriber();
    await channels.subscribe(recordingSubscriber(), anyone, "chat:lobby");
    const publishing = Promise.all(range(1, 200).map((n) => channels.publish(say(n))));

    await channels.subscribe(subscriber, anyone, "chat:lobby");
    const seenWithTheAnswer = subscriber.seen.length;

    expect(seenWithTheAnswer).toBe(0);
    await publishing;
  });

  test("an unsubscribe or a disconnect while the store is asked leaves no ghost", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix(), lingerMs: 1 });
    const outcomes = await Promise.allSettled(
      range(1, 200).map((n) => {
        const subscriber = recordingSubscriber();
        const pending = channels.subscribe(subscriber, anyone, `chat:${n % 10}`);
        queueMicrotask(() =>
          n % 2 === 0 ? channels.disconnect(subscriber) : void channels.unsubscribe(subscriber, `chat:${n % 10}`),
        );
        return pending;
      }),
    );

    expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
    expect([...channels.local.withSubscribers("chat")]).toEqual([]);
  });

  test("subscriptions of one reader are bounded", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix(), subscriptionsPerConnection: 3 });
    const subscriber = recordingSubscriber();
    for (const n of range(1, 3)) await channels.subscribe(subscriber, anyone, `chat:${n}`);

    await expect(channels.subscribe(subscriber, anyone, "chat:4")).rejects.toMatchObject({
      code: "subscription_limit",
    });
    await channels.subscribe(subscriber, anyone, "chat:3");

    expect(channels.channelsOf(subscriber)).toHaveLength(3);
  });

  test("the last reader's leaving lets go of the feed, a little later", async () => {
    const prefix = freshPrefix();
    const { channels, redis } = await startChannelsNode({ prefix, lingerMs: 20 });
    const subscriber = recordingSubscriber();
    const followers = () => followersOf(redis, createKeys(prefix).channelFeed("chat:lobby"));
    await channels.subscribe(subscriber, anyone, "chat:lobby");
    expect(await followers()).toBe(1);

    channels.disconnect(subscriber);

    await eventually(async () => expect(await followers()).toBe(0));
  });

  test("a node that may not deliver keeps following what its last reader left, so that it can vouch for the log", async () => {
    const prefix = freshPrefix();
    const clock = new FakeClock();
    let mayDeliver = true;
    const { channels, redis } = await startChannelsNode({ prefix, clock, lingerMs: 20, mayDeliver: () => mayDeliver });
    const subscriber = recordingSubscriber();
    const followers = () => followersOf(redis, createKeys(prefix).channelFeed("chat:lobby"));
    await channels.subscribe(subscriber, anyone, "chat:lobby");
    mayDeliver = false;

    channels.disconnect(subscriber);
    for (let passed = 0; passed < 5; passed += 1) await clock.advance(20);
    await redis.connection("subscriber").ping();
    expect(await followers()).toBe(1);

    mayDeliver = true;
    await clock.advance(20);
    await eventually(async () => expect(await followers()).toBe(0));
  });

  test("a prepared channel is followed before its reader comes, and let go of if nobody does", async () => {
    const prefix = freshPrefix();
    const clock = new FakeClock();
    const { channels, redis } = await startChannelsNode({ prefix, clock, lingerMs: 20 });
    const followers = (name: string) => followersOf(redis, createKeys(prefix).channelFeed(name));

    channels.prepare("chat:lobby");
    channels.prepare("chat:empty");
    for (const name of ["chat:lobby", "chat:empty"])
      await eventually(async () => expect(await followers(name)).toBe(1));
    const { offset } = await channels
      .publish(say(1))
      .then(() => channels.subscribeUnchecked(recordingSubscriber(), "chat:lobby", { startsHere: true }));
    expect(offset).toBeLessThanOrEqual(1);

    await eventually(async () => {
      await clock.advance(50);
      expect(await followers("chat:empty")).toBe(0);
    });
    expect(await followers("chat:lobby")).toBe(1);
  });

  test("a reader that starts where the node is misses nothing that is on its way", async () => {
    const prefix = freshPrefix();
    const writer = await startChannelsNode({ prefix });
    const { channels } = await startChannelsNode({ prefix });
    channels.prepare("chat:lobby");

    const publishing = Promise.all(range(1, 200).map((n) => writer.channels.publish(say(n))));
    const subscriber = recordingSubscriber();
    const { offset } = await channels.subscribeUnchecked(subscriber, "chat:lobby", { startsHere: true });
    await publishing;

    await eventually(() => expect(subscriber.seen.at(-1)?.offset ?? offset).toBe(200));
    expect(subscriber.seen.map((seen) => seen.offset)).toEqual(range(offset + 1, 200));
  });

  test("a snapshot is exact for the position it comes with, and what follows begins right there", async () => {
    const prefix = freshPrefix();
    const writer = await startChannelsNode({ prefix });
    const { epoch } = await writer.channels.publish(say(1));
    for (const n of range(2, 9)) await writer.channels.publish(say(n));
    // The log was already at 9 when this snapshot, exact for 9, was read.
    const snapshots = new Map([["chat", async () => ({ value: { upTo: 9 }, at: { epoch, offset: 9 } })]]);
    const { channels } = await startChannelsNode({ prefix, snapshots });
    const subscriber = recordingSubscriber();

    const answer = await channels.subscribe(subscriber, anyone, "chat:lobby");
    await writer.channels.publish(say(10));

    expect(answer).toMatchObject({ offset: 9, recovered: false, snapshot: { upTo: 9 } });
    await eventually(() => expect(numbers(subscriber.seen)).toEqual([10]));
  });
});

describe("permission", () => {
  const kinds = { chat: openKind, news: { subscribe: "granted", publish: "granted" }, secret: {} } as const;

  test.each([
    ["user:ada", "ada", true],
    ["user:bob", "ada", false],
    ["orders:ada", "ada", true],
    ["orders:bob", "ada", false],
    ["order:unknown", "ada", false],
    ["leaderboard:daily", "ada", true],
    ["leaderboard:", "ada", false],
    ["rank:daily:ada", "ada", true],
    ["rank:daily:bob", "ada", false],
    ["rank:daily:bob:ada", "ada", false],
    ["rank:daily:bob:ada", "bob:ada", true],
    ["rank:ada", "ada", false],
    ["chat:any", "ada", true],
    ["news:local", "ada", true],
    ["news:world", "ada", false],
    ["secret:x", "ada", false],
  ])("%s for %s: %s", async (channel, userId, isAllowed) => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix(), kinds });
    const subscribing = channels.subscribe(
      recordingSubscriber(),
      reader(userId, ["news:loc*", "secret:*", "user:*"]),
      channel,
    );

    if (isAllowed) await expect(subscribing).resolves.toMatchObject({ channel });
    else await expect(subscribing).rejects.toMatchObject({ code: "forbidden" });
  });

  test("clients publish where their kind or their grant lets them, never on built-in kinds", async () => {
    const { channels } = await startChannelsNode({ prefix: freshPrefix(), kinds });
    const writer = reader("ada", [], ["news:local", "user:*"]);

    await expect(channels.publishAs(writer, say(1, "chat:x"))).resolves.toMatchObject({ offset: 1 });
    await expect(channels.publishAs(writer, say(1, "news:local"))).resolves.toMatchObject({ offset: 1 });
    for (const channel of ["news:world", "secret:x", "user:ada", "order:1"]) {
      await expect(channels.publishAs(writer, say(1, channel))).rejects.toMatchObject({ code: "forbidden" });
    }
    await expect(channels.publishAs(writer, say(1, "nope:x"))).rejects.toMatchObject({ code: "unknown_channel" });
  });
});

describe("names", () => {
  const odd = [
    "chat:a",
    "chat:a:log",
    "chat:{a}",
    "chat:}a{",
    "chat:*",
    "chat:?",
    "chat:[a]",
    "chat:a b",
    "chat:%61",
    "chat:é",
    "chat:e\u0301",
    `chat:${"x".repeat(200)}`,
    `chat:${"x".repeat(201)}`,
    "chat:~a",
    "chat:a/../b",
    "chat:A",
  ];

  test("odd names neither collide with each other nor steer keys", async () => {
    const prefix = freshPrefix();
    const { channels, redis } = await startChannelsNode({ prefix });

    for (const [index, channel] of odd.entries()) {
      for (let n = 0; n <= index; n++) await channels.publish(say(n, channel));
    }

    for (const [index, channel] of odd.entries()) expect((await channels.history(channel, {})).offset).toBe(index + 1);
    const keys = await scan(redis.connection("commands") as never, `${prefix}:*`);
    for (const key of keys.filter((name) => !name.endsWith(":timestamp"))) {
      expect(key.slice(prefix.length)).toMatch(/^:\{ch:[\w.%~-]+\}:[a-z]+$/);
    }
  });
});

async function scan(
  redis: { scan(cursor: string, ...args: string[]): Promise<[string, string[]]> },
  pattern: string,
): Promise<string[]> {
  const found: string[] = [];
  let cursor = "0";
  do {
    const [next, keys] = await redis.scan(cursor, "MATCH", pattern, "COUNT", "1000");
    found.push(...keys);
    cursor = next;
  } while (cursor !== "0");
  return found;
}

const followersOf = async (redis: RedisConnections, feed: string): Promise<number> =>
  ((await redis.connection("commands").call("PUBSUB", "SHARDNUMSUB", feed)) as [string, number])[1];
