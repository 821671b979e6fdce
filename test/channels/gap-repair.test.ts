import { expect, test } from "vitest";
import type { ChannelLog } from "../../src/channels/channel-log.ts";
import type { FeedMessage } from "../../src/channels/feed-message.ts";
import { GapRepair } from "../../src/channels/gap-repair.ts";
import { kindDefaults } from "../../src/channels/kinds.ts";
import { LocalChannel } from "../../src/channels/local-channel.ts";
import type { LogSlice } from "../../src/channels/log-entry.ts";
import { SubscribeBuffers } from "../../src/channels/subscribe-buffers.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";

const packet = Buffer.from("42");

const messageAt = (offset: number): FeedMessage => ({
  epoch: "e",
  offset,
  timestamp: offset,
  previousTimestamp: offset - 1,
  packet,
});

/** One channel with a subscriber, whose log can be read only once `log.isAway` is false; it is then empty. */
async function channelWithLog() {
  const log = { isAway: false };
  const retries: (() => void)[] = [];
  let delivered = 0;
  const empty: LogSlice = { epoch: "e", offset: 0, timestamp: 0, isWhole: true, entries: [] };
  const store = {
    lastTimestamp: () => Promise.resolve(Infinity),
    read: () => (log.isAway ? Promise.reject(new Error("Command timed out")) : Promise.resolve(empty)),
  } as Partial<ChannelLog> as ChannelLog;
  const repair = new GapRepair({
    log: store,
    channels: () => [channel],
    onLost: () => undefined,
    continues: () => false,
    onGap: () => undefined,
    retryLater: (run) => void retries.push(run),
    mayDeliver: () => true,
  });
  const channel = new LocalChannel("chat:lobby", kindDefaults, {
    feed: { follow: () => Promise.resolve(), unfollow: () => undefined, onRestored: () => undefined },
    log: store,
    buffers: new SubscribeBuffers(),
    deliver: () => void (delivered += 1),
    receive: repair.receive,
    reset: repair.reset,
    mayDeliver: () => true,
    onConflated: () => undefined,
    clock: new FakeClock(),
  });
  await channel.subscribed;
  channel.attach({ id: "c", userId: "ada" }, true);
  channel.resume({ id: "c", userId: "ada" });
  return { log, retries, channel, repair, delivered: () => delivered };
}

test("what waits for a log that cannot be read does not grow with each attempt", async () => {
  const { log, retries, channel, repair, delivered } = await channelWithLog();
  log.isAway = true;
  repair.repair();
  for (let attempt = 0; attempt < 3; attempt++) {
    for (let n = 1; n <= 20_000; n++) channel.onMessage(messageAt(attempt * 20_000 + n));
    await settled();
    retries.shift()?.();
  }

  log.isAway = false;
  await settled();
  retries.shift()?.();
  await settled();

  // The others would be found in the log, which contains whatever was published before it is read.
  expect(delivered()).toBe(20_000);
});

test("a subscriber that asks twice is told of a gap between its requests, unless it was answered beyond it", async () => {
  const { channel } = await channelWithLog();
  const gap = { epoch: "e", offset: 27, timestamp: 27 };
  for (const [offset, told] of [
    [25, gap],
    [27, undefined],
  ] as const) {
    const subscriber = { id: `at-${offset}`, userId: "bob" };
    channel.attach(subscriber, false);
    channel.skipTo(gap);
    channel.attach(subscriber, false);
    expect(channel.resume(subscriber, { epoch: "e", offset })).toEqual(told);
  }
});
