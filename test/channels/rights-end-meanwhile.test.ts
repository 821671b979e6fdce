import { expect, test } from "vitest";
import type { Channels } from "../../src/channels/channels.ts";
import type { Subscriber } from "../../src/channels/subscribers.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { reader, record, recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const anyone = reader("ada");

test("whoever loses an order while it is read is answered nothing of it, and is not subscribed", async () => {
  let asked = 0;
  const mayReadOrder = async () => (asked += 1) === 1;
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });
  const subscriber = recordingSubscriber();

  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toMatchObject({ code: "forbidden" });

  expect(channels.channelsOf(subscriber)).toEqual([]);
  expect(asked).toBe(2);
});

/** A subscriber of an order that asks for it again meets `mayRead` while the log is read; another one is subscribed. */
async function subscribingAgainst(mayRead: () => Promise<boolean>) {
  let asked = 0;
  const mayReadOrder = async () => (asked += 1) === 1 || mayRead();
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });
  const [subscriber, other] = [recordingSubscriber(), recordingSubscriber()];
  await channels.subscribeUnchecked(other, "order:7");
  let sent = 0;
  /** Resolves when the node has received it. */
  const send = async (): Promise<void> => {
    sent += 1;
    await channels.publishEphemeral({ channel: "order:7", event: "moved", data: `${sent}` });
    await eventually(() => expect(other.seen).toHaveLength(sent));
  };
  return { channels, subscriber, send };
}

test("whoever loses an order while it is read is sent nothing without an offset either", async () => {
  const node = await subscribingAgainst(async () => {
    await node.send();
    return false;
  });
  const { channels, subscriber } = node;

  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toMatchObject({ code: "forbidden" });
  await node.send();

  expect(subscriber.seen).toEqual([]);
});

test("what has no offset follows the acknowledgement of a subscription too, and does not wait for another one's", async () => {
  const seen: number[] = [];
  const node = await subscribingAgainst(async () => {
    await node.send();
    seen.push(node.subscriber.seen.length);
    return true;
  });
  const { channels, subscriber } = node;

  await channels.subscribe(subscriber, anyone, "order:7");
  expect(subscriber.seen).toEqual([]);
  await eventually(() => expect(subscriber.seen).toHaveLength(1));
  await channels.subscribe(subscriber, anyone, "order:8");

  expect(seen).toEqual([0, 2, 3]);
});

test("what has no offset keeps its order while another subscription is pending", async () => {
  const asked: Promise<boolean>[] = [];
  const { promise: held, resolve: release } = Promise.withResolvers<boolean>();
  const node = await subscribingAgainst(async () => {
    if (asked.push(held) > 1) return asked.length === 2 || held;
    pending = channels.subscribe(subscriber, anyone, "order:8");
    await eventually(() => expect(asked).toHaveLength(3));
    await node.send();
    return true;
  });
  const { channels, subscriber } = node;
  let pending: Promise<unknown> | undefined;

  await channels.subscribe(subscriber, anyone, "order:7");
  await node.send();
  release(true);
  await pending;
  await node.send();

  await eventually(() => expect(subscriber.seen.map(({ data }) => data)).toEqual([1, 2, 3]));
});

test("a subscription that the gateway ends before it was acknowledged is refused with the reason, and not told twice", async () => {
  const ended = new GatewayError("forbidden");
  const subscriber = recordingSubscriber();
  let asked = 0;
  const mayReadOrder = async () => {
    asked += 1;
    if (asked % 2 === 0) channels.forceUnsubscribe(subscriber, "order:7", ended);
    return true;
  };
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });

  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toBe(ended);
  expect(subscriber.unsubscribed).toEqual([]);

  await channels.subscribeUnchecked(subscriber, "order:7");
  await expect(channels.subscribe(subscriber, anyone, "order:7")).rejects.toBe(ended);
  expect(subscriber.unsubscribed).toEqual([{ channel: "order:7", code: "forbidden" }]);
});

test("a subscription that the gateway ends while its acknowledgement leaves is told as ended after that", async () => {
  const told = new Set<string>();
  let [asked, end] = [0, (): void => undefined];
  const mayReadOrder = async () => {
    // The last thing that is awaited.
    if ((asked += 1) % 2 === 0) end();
    return true;
  };
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });

  for (let turns = 0; turns < 24; turns++) {
    const subscriber = recordingSubscriber();
    end = () =>
      void afterTurns(turns).then(() =>
        channels.forceUnsubscribe(subscriber, "order:7", new GatewayError("forbidden")),
      );
    const subscribed = channels.subscribe(subscriber, anyone, "order:7");
    // What a request passes until its acknowledgement is written.
    const answer = await subscribed.then(
      () => afterTurns(8).then(() => (subscriber.unsubscribed.length === 0 ? "acknowledged" : "acknowledged too late")),
      () => "refused",
    );
    await new Promise((resolve) => setImmediate(resolve));
    told.add(`${answer}${subscriber.unsubscribed.map(() => ", told").join()}`);
  }

  expect([...told].toSorted()).toEqual(["acknowledged, told", "refused"]);
});

/** Resolves after so many turns of the queue of promises. */
async function afterTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

test("whoever loses an order while its history is read is answered nothing of it", async () => {
  let asked = 0;
  const mayReadOrder = async () => (asked += 1) === 1;
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), mayReadOrder });

  await expect(channels.historyAs(anyone, "order:7", { limit: 10 })).rejects.toMatchObject({ code: "forbidden" });

  expect(asked).toBe(2);
});

/** An order with one publication, for a subscriber that comes back to a node and asks for what it missed. */
async function restored(mayReadOrder: (channels: Channels, subscriber: Subscriber) => boolean) {
  const subscriber = recordingSubscriber();
  const node = await startChannelsNode({
    prefix: freshPrefix(),
    mayReadOrder: async () => mayReadOrder(node.channels, subscriber),
  });
  const { channels } = node;
  const published = { event: "said", data: "{}" };
  const { epoch } = await channels.publish({ channel: "order:7", ...published });
  const { epoch: another } = await channels.publish({ channel: "order:8", ...published });
  const starts = new Map([
    ["order:7", { epoch, offset: 0 }],
    ["order:8", { epoch: another, offset: 0 }],
  ]);
  return { subscriber, channels, restored: await channels.restore(subscriber, anyone, starts, 0) };
}

test("whoever loses an order while it is recovered is not recovered", async () => {
  let asked = 0;
  const { subscriber, channels, ...found } = await restored(() => (asked += 1) <= 3);

  expect(found.restored).toBeUndefined();
  expect(asked).toBe(4);
  expect(channels.channelsOf(subscriber)).toEqual([]);
});

test("a connection one of whose subscriptions the gateway ends while it is recovered is not recovered", async () => {
  let asked = 0;
  const { subscriber, channels, ...found } = await restored((channels, subscriber) => {
    asked += 1;
    if (asked === 4) channels.forceUnsubscribe(subscriber, "order:8", new GatewayError("forbidden"));
    return true;
  });

  expect(found.restored).toBeUndefined();
  expect(subscriber.unsubscribed).toEqual([]);
  expect(channels.channelsOf(subscriber)).toEqual([]);
});

test("a subscription that ends before the recovered connection is told of it brings nothing, and is told then", async () => {
  const { subscriber, channels, ...found } = await restored(() => true);

  channels.forceUnsubscribe(subscriber, "order:8", new GatewayError("forbidden"));
  for (const packet of found.restored?.packets() ?? []) record(subscriber, packet);
  expect(subscriber.seen.map(({ channel }) => channel)).toEqual(["order:7"]);
  expect(subscriber.unsubscribed).toEqual([]);

  found.restored?.release();
  expect(subscriber.unsubscribed).toEqual([{ channel: "order:8", code: "forbidden" }]);
  expect(channels.channelsOf(subscriber)).toEqual(["order:7"]);
});
