import { expect, test } from "vitest";
import type { TakeSnapshot } from "../../src/channels/subscription.ts";
import { createKeys } from "../../src/redis/keys.ts";
import type { Position } from "../../src/protocol/scalars.ts";
import { openKind, reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const channel = "chat:lobby";
const anyone = reader("ada");
const say = (n: number) => ({ channel, event: "said", data: JSON.stringify(n) });

type Hook = (kind: string) => Promise<Position | undefined>;

/** A node with one reader of the channel. Subscriptions are answered with where the hook says, else where they stand. */
async function startNode() {
  const prefix = freshPrefix();
  const kinds = { chat: openKind, slow: openKind };
  const hooks: { answer: Hook } = { answer: async () => undefined };
  const positionOf = async (name: string): Promise<Position> => {
    const { epoch, offset } = await channels.history(name, {});
    return { epoch, offset };
  };
  const snapshotOf =
    (kind: string): TakeSnapshot =>
    async (name) => ({ value: {}, at: (await hooks.answer(kind)) ?? (await positionOf(name)) });
  const snapshots = new Map(["chat", "slow"].map((kind) => [kind, snapshotOf(kind)]));
  const { channels, redis } = await startChannelsNode({ prefix, kinds, snapshots });
  const keys = createKeys(prefix);
  const commands = redis.connection("commands");
  const lose = () => commands.del(keys.channelMeta(channel), keys.channelLog(channel));
  const present = recordingSubscriber();
  await channels.subscribe(present, anyone, channel);
  const subscriber = redis.connection("subscriber");
  return { channels, hooks, present, lose, positionOf, feedKey: keys.channelFeed(channel), subscriber };
}

test.each(["before", "after"])(
  "a reader is told where its channel begins another epoch while it is attached, read %s that",
  async (when) => {
    const { channels, hooks, present, lose, positionOf } = await startNode();
    await channels.publish(say(0));
    hooks.answer = async () => {
      hooks.answer = async () => undefined;
      const before = await positionOf(channel);
      await lose();
      const after = await positionOf(channel);
      await channels.publish(say(1));
      await eventually(() => expect(present.unsubscribed).toHaveLength(1));
      const next = recordingSubscriber();
      await channels.subscribe(next, anyone, channel);
      await channels.publish(say(2));
      await eventually(() => expect(next.seen).toHaveLength(1));
      return when === "before" ? before : after;
    };
    const reading = recordingSubscriber();

    await channels.subscribe(reading, anyone, channel);

    await eventually(() => expect(reading.unsubscribed).toEqual([{ channel, code: "unavailable" }]));
    expect(reading.seen).toEqual([]);
  },
);

test("what a reader was answered ahead of the feed does not come again while another channel is answered", async () => {
  const node = await startNode();
  const { channels, present, feedKey, subscriber } = node;
  const { epoch } = await channels.publish(say(1));
  await subscriber.sunsubscribe(feedKey);
  await channels.publish(say(2));
  await channels.publish(say(3));
  const reading = recordingSubscriber();
  expect(await channels.subscribe(reading, anyone, channel, { epoch, offset: 1 })).toMatchObject({ offset: 3 });
  let release = (): void => undefined;
  const released = new Promise<undefined>((resolve) => (release = () => resolve(undefined)));
  node.hooks.answer = () => released;
  await new Promise((resolve) => setImmediate(resolve));
  const another = channels.subscribe(reading, anyone, "slow:one");

  channels.repair();
  await eventually(() => expect(present.seen.at(-1)?.offset).toBe(3));
  release();
  await another;
  await subscriber.ssubscribe(feedKey);
  await channels.publish(say(4));

  await eventually(() => expect(reading.seen.map(({ offset }) => offset)).toEqual([4]));
});
