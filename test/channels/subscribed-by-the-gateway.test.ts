import { describe, expect, test } from "vitest";
import type { StoredStart } from "../../src/channels/stored-start.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { reader, recordingSubscriber, startChannelsNode, type ChannelsNodeOptions } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "chat:lobby";
const same = (from: number, to: number): [number, number][] =>
  Array.from({ length: to - from + 1 }, (_, index) => [from + index, from + index]);
const told = [{ channel, code: "unavailable" }];

/** A node with a subscriber of `channel` that the gateway has subscribed, and that has received two publications. */
async function startSubscribed(options: Partial<ChannelsNodeOptions> = {}) {
  const prefix = freshPrefix();
  const keys = createKeys(prefix);
  const { channels, redis } = await startChannelsNode({ prefix, ...options });
  const commands = redis.connection("commands");
  const subscriber = recordingSubscriber();
  await channels.subscribeUnchecked(subscriber, channel, { by: "gateway" });
  const publish = (n: number) => channels.publish({ channel, event: "said", data: `${n}` });
  await publish(1);
  const { epoch } = await publish(2);
  await eventually(() => expect(subscriber.seen).toHaveLength(2));
  return {
    channels,
    subscriber,
    epoch,
    publish,
    seenSince: () => subscriber.seen.slice(2).map(({ offset, data }) => [offset, data]),
    loseLog: () => commands.unlink(keys.channelMeta(channel), keys.channelLog(channel)),
    feed: keys.channelFeed(channel),
    feedConnection: redis.connection("subscriber"),
  };
}

describe("a subscription that the gateway made", () => {
  test("goes on with the first publication after the log was lost", async () => {
    const { subscriber, epoch, publish, loseLog, seenSince } = await startSubscribed();
    await loseLog();

    const first = await publish(3);
    await publish(4);

    expect(first.epoch).not.toBe(epoch);
    await eventually(() => expect(seenSince()).toEqual(same(1, 2).map(([n]) => [n, n + 2])));
    expect(subscriber.unsubscribed).toEqual(told);
  });

  test("goes on with what the log still has after a gap, and is stored there", async () => {
    const saved: [string, StoredStart | undefined][] = [];
    const history = { size: 3, ttlSeconds: 60 };
    const node = await startSubscribed({
      kinds: { chat: { subscribe: "public", history } },
      records: {
        save: () => undefined,
        remove: async () => undefined,
        rewrite: (subscriber) => void saved.push(...node.channels.startsOf(subscriber)),
      },
    });
    const { subscriber, publish, seenSince, feed, feedConnection, epoch } = node;
    await feedConnection.sunsubscribe(feed);
    for (let n = 3; n <= 12; n++) await publish(n);
    await feedConnection.ssubscribe(feed);

    await publish(13);

    await eventually(() => expect(seenSince().at(-1)).toEqual([13, 13]));
    const [[first = 0] = []] = seenSince();
    expect(seenSince()).toEqual(same(first as number, 13));
    expect(subscriber.unsubscribed).toEqual(told);
    expect(saved).toEqual([[channel, { epoch, offset: (first as number) - 1, by: "gateway" }]]);
  });

  test("goes on after its history was deleted", async () => {
    const { channels, subscriber, publish, seenSince } = await startSubscribed();

    await channels.clearHistory(channel);
    await publish(3);

    await eventually(() => expect(seenSince()).toEqual([[1, 3]]));
    expect(subscriber.unsubscribed).toEqual(told);
  });

  test("is not repeated to a client that subscribes again by itself", async () => {
    const { channels, subscriber, epoch, publish, loseLog, seenSince } = await startSubscribed();
    await loseLog();
    await publish(3);
    await eventually(() => expect(subscriber.unsubscribed).toEqual(told));

    const asking = channels.subscribe(subscriber, reader("ada"), channel, { epoch, offset: 2 });
    await publish(4);
    const answer = await asking;
    await publish(5);

    await eventually(() => expect(seenSince().at(-1)).toEqual([3, 5]));
    expect(answer).toMatchObject({ recovered: false, publications: [] });
    const seen = seenSince().map(([offset]) => offset as number);
    expect(seen).toEqual([1, 2, 3].filter((offset) => offset === 1 || offset > answer.offset));
  });

  test("goes on from the loss if that happens while the client subscribes again", async () => {
    const { channels, subscriber, publish, loseLog, seenSince } = await startSubscribed();
    const asking = channels.subscribe(subscriber, reader("ada"), channel);
    await loseLog();
    await publish(3);
    await asking;
    await publish(4);

    await eventually(() => expect(seenSince().at(-1)).toEqual([2, 4]));
    expect(channels.channelsOf(subscriber)).toEqual([channel]);
  });

  test("goes on behind what was too much to keep while another subscription was answered", async () => {
    const saved = Promise.withResolvers<void>();
    const { channels, subscriber, publish, seenSince } = await startSubscribed({
      records: {
        save: (_subscriber, name) => (name === "chat:other" ? saved.promise : undefined),
        remove: async () => undefined,
        rewrite: () => undefined,
      },
    });
    const other = channels.subscribe(subscriber, reader("ada"), "chat:other");
    const data = JSON.stringify("x".repeat(900_000));
    for (let n = 3; n <= 5; n++) await channels.publish({ channel, event: "said", data });
    await eventually(() => expect(channels.local.get(channel)?.position?.offset).toBe(5));

    saved.resolve();
    await other;
    await eventually(() => expect(subscriber.unsubscribed).toEqual(told));
    await publish(6);

    await eventually(() => expect(seenSince()).toEqual([[6, 6]]));
  });

  test("tells of each loss between what came before and after it, also while another subscription is answered", async () => {
    const saved = Promise.withResolvers<void>();
    const { channels, subscriber, publish, loseLog } = await startSubscribed({
      records: {
        save: (_subscriber, name) => (name === "chat:other" ? saved.promise : undefined),
        remove: async () => undefined,
        rewrite: () => undefined,
      },
    });
    const order: unknown[] = [];
    subscriber.seen.push = (publication) => order.push(publication.data);
    subscriber.unsubscribed.push = (loss) => order.push(loss.code);
    const other = channels.subscribe(subscriber, reader("ada"), "chat:other");
    for (const n of [3, 4]) {
      await loseLog();
      const { epoch } = await publish(n);
      await eventually(() => expect(channels.local.get(channel)?.position).toMatchObject({ epoch, offset: 1 }));
    }
    expect(order).toEqual([]);

    saved.resolve();
    await other;

    await eventually(() => expect(order).toEqual(["unavailable", 3, "unavailable", 4]));
  });

  test("ends like any other once the client has left it", async () => {
    const { channels, subscriber, publish, seenSince } = await startSubscribed();
    await channels.unsubscribe(subscriber, channel);

    await channels.clearHistory(channel);
    await publish(3);
    await channels.subscribeUnchecked(subscriber, channel);
    await channels.clearHistory(channel);

    await eventually(() => expect(subscriber.unsubscribed).toEqual(told));
    expect(channels.channelsOf(subscriber)).toEqual([]);
    expect(seenSince()).toEqual([]);
  });
});
