import { describe, expect, test } from "vitest";
import { conflationOf, ConflationWindow, latestOf } from "../../src/channels/conflation.ts";
import type { FeedMessage } from "../../src/channels/feed-message.ts";
import { FakeClock } from "../support/fake-clock.ts";
import {
  openKind,
  reader,
  recordingSubscriber,
  startChannelsNode,
  type RecordingSubscriber,
} from "../support/nodes.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const anyone = reader("ada");
const windowMs = 1_000;
const kinds = { place: { ...openKind, conflateMs: windowMs }, chat: openKind };
const offsets = (subscriber: RecordingSubscriber, channel = "place:van") =>
  subscriber.seen.filter((publication) => publication.channel === channel).map(({ offset }) => offset);

/** A node whose windows end when the test says so. */
async function startNode(mayDeliver: () => boolean = () => true) {
  const clock = new FakeClock();
  const { channels } = await startChannelsNode({ prefix: freshPrefix(), kinds, clock, mayDeliver });
  const expectedTimestamp = recordingSubscriber();
  await channels.subscribe(expectedTimestamp, anyone, "chat:expectedTimestamp");

  return {
    channels,
    clock,
    publish: async (...events: string[]) => {
      for (const event of events) await channels.publish({ channel: "place:van", event, data: "{}" });
      // One feed, one order: when the expectedTimestamp has read this, the node has heard all before it.
      const { offset } = await channels.publish({ channel: "chat:expectedTimestamp", event: "heard", data: "{}" });
      await eventually(() => expect(expectedTimestamp.seen.at(-1)?.offset).toBe(offset));
    },
    subscribe: async (channel = "place:van") => {
      const subscriber = recordingSubscriber();
      const answer = await channels.subscribe(subscriber, anyone, channel);
      await new Promise((resolve) => setImmediate(resolve));
      return { subscriber, answer };
    },
  };
}

describe("a channel of a kind that conflates", () => {
  test("sends, when the window ends, the latest of each event, in order", async () => {
    const { clock, publish, subscribe } = await startNode();
    const { subscriber } = await subscribe();

    await publish("moved", "moved", "stopped", "moved", "honked", "moved");
    const before = offsets(subscriber);
    await clock.advance(windowMs);

    expect(before).toEqual([]);
    expect(offsets(subscriber)).toEqual([3, 5, 6]);
  });

  test("opens the next window with the next publication", async () => {
    const { clock, publish, subscribe } = await startNode();
    const { subscriber } = await subscribe();

    await publish("moved", "moved");
    await clock.advance(windowMs);
    await clock.advance(10 * windowMs);
    await publish("moved", "moved");
    const between = offsets(subscriber);
    await clock.advance(windowMs);

    expect(between).toEqual([2]);
    expect(offsets(subscriber)).toEqual([2, 4]);
  });

  test("says so in the answer, and others do not", async () => {
    const { subscribe } = await startNode();

    expect((await subscribe()).answer).toMatchObject({ conflated: true });
    expect((await subscribe("chat:lobby")).answer).not.toHaveProperty("conflated");
  });

  test("repeats nothing to who comes while a window is open, and leaves out nothing", async () => {
    const { clock, publish, subscribe } = await startNode();
    await subscribe();
    await publish("moved", "stopped");

    const { subscriber, answer } = await subscribe();
    await publish("moved");
    await clock.advance(windowMs);

    expect(answer.offset).toBe(2);
    expect(offsets(subscriber)).toEqual([3]);
  });

  test("gives who comes back by position all that is in the log, and goes on after it", async () => {
    const { channels, clock, publish, subscribe } = await startNode();
    const { answer } = await subscribe();
    await publish("moved", "moved", "moved");
    const subscriber = recordingSubscriber();

    const { publications } = await channels.subscribe(subscriber, anyone, "place:van", { ...answer, offset: 1 });
    await publish("moved");
    await clock.advance(windowMs);

    expect(publications.map(({ offset }) => offset)).toEqual([2, 3]);
    expect(offsets(subscriber)).toEqual([4]);
  });

  test("sends nothing more of a window to who has left", async () => {
    const { channels, clock, publish, subscribe } = await startNode();
    const { subscriber } = await subscribe();
    const { subscriber: other } = await subscribe();
    await publish("moved");

    await channels.unsubscribe(subscriber, "place:van");
    await clock.advance(windowMs);

    expect(offsets(subscriber)).toEqual([]);
    expect(offsets(other)).toEqual([1]);
  });

  test("keeps the window open while the node may not deliver", async () => {
    let mayDeliver = true;
    const { clock, publish, subscribe } = await startNode(() => mayDeliver);
    const { subscriber } = await subscribe();
    await publish("moved");

    mayDeliver = false;
    await clock.advance(5 * windowMs);
    const whileFenced = offsets(subscriber);
    mayDeliver = true;
    await clock.advance(windowMs);

    expect(whileFenced).toEqual([]);
    expect(offsets(subscriber)).toEqual([1]);
  });

  test("gives a stock client that was cut during a window the latest, though it has read later timestamps elsewhere", async () => {
    const { channels, clock, publish, subscribe } = await startNode();
    const { subscriber, answer } = await subscribe();
    const chat = await channels.subscribe(subscriber, anyone, "chat:lobby");
    await publish("moved", "moved");
    await channels.publish({ channel: "chat:lobby", event: "said", data: "{}" });
    await eventually(() => expect(offsets(subscriber, "chat:lobby")).toEqual([1]));
    channels.disconnect(subscriber);
    await clock.advance(windowMs);

    const back = recordingSubscriber();
    const starts = new Map([
      ["place:van", answer],
      ["chat:lobby", chat],
    ]);
    const restored = await channels.restore(back, anyone, starts, subscriber.stamps.at(-1) as number);
    const missed = restored?.packets().map((packet) => (JSON.parse(packet.toString().slice(2)) as [string, object])[1]);

    expect(missed).toMatchObject([{ channel: "place:van", offset: 2 }]);
    expect(restored?.timestamp).toBe(subscriber.stamps.at(-1));
  });
});

describe("what may be left out", () => {
  const message = (offset: number, event: string, data: object): FeedMessage => ({
    epoch: "e",
    offset,
    timestamp: offset,
    previousTimestamp: offset - 1,
    packet: Buffer.from(`42["publication",${JSON.stringify({ event, data })},"${offset}"]`),
  });
  const place = (offset: number, lat: number) => message(offset, "order.signal", { orderId: "1", name: "place", lat });

  test("of an order is never a status, nor does a signal stay behind one", async () => {
    const clock = new FakeClock();
    const passed: number[] = [];
    const window = new ConflationWindow(conflationOf("order:1", 100)!, {
      clock,
      send: ({ offset }) => passed.push(offset),
      mayDeliver: () => true,
      onReplaced: () => undefined,
    });

    window.offer(place(1, 1));
    window.offer(place(2, 2));
    window.offer(message(3, "order.signal", { orderId: "1", name: "eta" }));
    window.offer(message(4, "order.status", { orderId: "1", status: "paid" }));
    window.offer(message(5, "order.status", { orderId: "1", status: "shipped" }));
    window.offer(place(6, 3));
    await clock.advance(100);

    expect(passed).toEqual([2, 3, 4, 5, 6]);
  });

  test("of two orders on a party's channel is only what the same order has replaced", () => {
    const entry = (offset: number, orderId: string) => ({
      offset,
      timestamp: offset,
      json: JSON.stringify({ event: "order.signal", data: { orderId, name: "place" } }),
    });

    const latest = latestOf(conflationOf("orders:ada", 100)!, [entry(1, "a"), entry(2, "b"), entry(3, "a")]);

    expect(latest.map(({ offset }) => offset)).toEqual([2, 3]);
  });

  test("of a board is nothing: a diff counts from the one before", () => {
    expect(conflationOf("leaderboard:daily", 100)).toBeUndefined();
    expect(conflationOf("chat:lobby", 0)).toBeUndefined();
  });
});
