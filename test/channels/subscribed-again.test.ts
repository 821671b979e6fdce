import { expect, test } from "vitest";
import { GatewayError } from "../../src/protocol/errors.ts";
import { openKind, reader, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const ada = reader("ada");
const channel = "chat:lobby";
const say = { channel, event: "said", data: "1" };

/** A node whose store of records refuses what it is told to. */
async function startNode() {
  const state = { isAway: false, rewritten: 0, dropped: [] as string[] };
  const refuse = (): void => {
    if (state.isAway) throw new GatewayError("unavailable");
  };
  const records = {
    save: async () => refuse(),
    remove: async (_: unknown, name: string) => {
      refuse();
      state.dropped.push(name);
    },
    rewrite: () => void (state.rewritten += 1),
  };
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), records, kinds: { chat: openKind } });
  const subscriber = recordingSubscriber();
  const offsets = (): number[] => subscriber.seen.map(({ offset }) => offset);
  return { channels, state, subscriber, offsets };
}

test("a subscription whose repeat is refused goes on where it was, without a gap or a repeat", async () => {
  const { channels, state, subscriber, offsets } = await startNode();
  const first = await channels.subscribe(subscriber, ada, channel);
  await channels.publish(say);
  await eventually(() => expect(offsets()).toEqual([1]));

  state.isAway = true;
  const again = channels.subscribe(subscriber, ada, channel, { epoch: first.epoch, offset: 0 });
  await Promise.all([expect(again).rejects.toMatchObject({ code: "unavailable" }), channels.publish(say)]);
  await channels.publish(say);

  await eventually(() => expect(offsets()).toEqual([1, 2, 3]));
  expect(channels.startsOf(subscriber)).toEqual(new Map([[channel, { epoch: first.epoch, offset: 0 }]]));
  expect(state.rewritten).toBe(1);
});

test("a first subscription that is refused is none", async () => {
  const { channels, state, subscriber } = await startNode();
  state.isAway = true;

  await expect(channels.subscribe(subscriber, ada, channel)).rejects.toMatchObject({ code: "unavailable" });

  expect(channels.channelsOf(subscriber)).toEqual([]);
});

test("an unsubscription that the store has not heard of is refused, and the subscription stands until it is", async () => {
  const { channels, state, subscriber, offsets } = await startNode();
  await channels.subscribe(subscriber, ada, channel);
  state.isAway = true;
  await expect(channels.unsubscribe(subscriber, channel)).rejects.toMatchObject({ code: "unavailable" });
  await channels.publish(say);
  await eventually(() => expect(offsets()).toEqual([1]));
  expect([...channels.startsOf(subscriber).keys()]).toEqual([channel]);

  state.isAway = false;
  expect(await channels.unsubscribe(subscriber, channel)).toBe(true);

  expect({ dropped: state.dropped, left: channels.channelsOf(subscriber) }).toEqual({ dropped: [channel], left: [] });
});

/** Records as the store would have them, in the order of the calls. */
function storedChannels() {
  const stored = new Set<string>();
  const { promise: isRemoved, resolve: answerRemoval } = Promise.withResolvers<void>();
  const records = {
    save: async (_: unknown, name: string) => void stored.add(name),
    remove(_: unknown, name: string) {
      stored.delete(name);
      return isRemoved;
    },
    rewrite: () => undefined,
  };
  return { stored, records, answerRemoval };
}

test("a backend's subscription that begins while the client ends its own does not remain in the record alone", async () => {
  const { stored, records, answerRemoval } = storedChannels();
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), records, kinds: { chat: openKind } });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, ada, channel);

  const ended = channels.unsubscribe(subscriber, channel);
  await channels.subscribeUnchecked(subscriber, channel);
  answerRemoval();

  expect(await ended).toBe(true);
  expect([...stored]).toEqual(channels.channelsOf(subscriber));
});

test("a client's request ends no subscription that began after a backend had ended the client's", async () => {
  const { stored, records, answerRemoval } = storedChannels();
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), records, kinds: { chat: openKind } });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, ada, channel);

  const ended = channels.unsubscribe(subscriber, channel);
  channels.forceUnsubscribe(subscriber, channel, new GatewayError("forbidden"));
  await channels.subscribeUnchecked(subscriber, channel);
  answerRemoval();

  expect(await ended).toBe(false);
  expect(channels.channelsOf(subscriber)).toEqual([channel]);
  expect([...stored]).toEqual([channel]);
});

test("a subscription that ends while it is answered is not stored after that", async () => {
  const { stored, records } = storedChannels();
  const subscriber = recordingSubscriber();
  const ended = new GatewayError("forbidden");
  let asked = 0;
  const mayReadOrder = async () => {
    if ((asked += 1) === 2) channels.forceUnsubscribe(subscriber, "order:7", ended);
    return true;
  };
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), records, mayReadOrder });

  await expect(channels.subscribe(subscriber, ada, "order:7")).rejects.toBe(ended);

  expect([...stored]).toEqual([]);
});

test("a request that is refused while the client's unsubscription fails leaves the subscription as it was", async () => {
  const { promise: removal, reject: failRemoval } = Promise.withResolvers<void>();
  const records = { save: async () => undefined, remove: () => removal, rewrite: () => undefined };
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), records, kinds: { chat: openKind } });
  const subscriber = recordingSubscriber();
  await channels.subscribe(subscriber, ada, channel);
  await new Promise((resolve) => setImmediate(resolve));

  const ended = channels.unsubscribe(subscriber, channel);
  const confirm = () => Promise.reject(new GatewayError("forbidden"));
  await expect(channels.subscribeUnchecked(subscriber, channel, { confirm })).rejects.toThrow();
  failRemoval(new GatewayError("unavailable"));
  await expect(ended).rejects.toMatchObject({ code: "unavailable" });
  await channels.publish(say);

  await eventually(() => expect(subscriber.seen.map(({ offset }) => offset)).toEqual([1]));
});
