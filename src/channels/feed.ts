import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/** One publication as the feed brings it: its place, and the packet that every subscriber is sent as it is. */
export interface FeedMessage {
  epoch: string;
  offset: number;
  /** Orders publications over all channels of one store. */
  stamp: number;
  /** Text of the Engine.IO packet, in UTF-8: `42["publication",{…},"<stamp>"]`. */
  packet: Buffer;
}

/**
 * The publications of the channels this node follows, over one subscriber connection. At most once: what was published
 * while the connection was away is not repeated here, so whoever follows numbers and reads the log.
 */
export interface Feed {
  /** Resolves when Redis confirmed: what is published from then on is heard. */
  follow(channel: string, onMessage: (message: FeedMessage) => void): Promise<void>;
  unfollow(channel: string): void;
  /** Called after the connection was lost and every subscription stands again. */
  onRestored(restored: () => void): void;
}

export interface FeedDeps {
  subscriber: RedisClient;
  keys: Keys;
  clock: Clock;
  log: Logger;
}

/** Longest wait for Redis to confirm a subscription; the connection itself would wait for ever. */
const followTimeoutMs = 3_000;

export function createFeed({ subscriber, keys, clock, log }: FeedDeps): Feed {
  const listeners = new Map<string, (message: FeedMessage) => void>();

  subscriber.on("smessageBuffer", (key: Buffer, message: Buffer) => {
    const listener = listeners.get(key.toString("latin1"));
    if (listener === undefined) return;
    const parsed = parseFeedMessage(message);
    if (parsed === undefined) log.warn({ bytes: message.length }, "feed message of a foreign form ignored");
    else listener(parsed);
  });

  return {
    async follow(channel, onMessage) {
      if (subscriber.status !== "ready") throw new Error("Connection is closed.");
      const key = keys.channelFeed(channel);
      listeners.set(key, onMessage);
      await within(followTimeoutMs, subscriber.ssubscribe(key), clock);
    },
    unfollow(channel) {
      const key = keys.channelFeed(channel);
      listeners.delete(key);
      // A lost connection forgets the subscription by itself, so a failure here leaves nothing behind.
      subscriber.sunsubscribe(key).catch(() => undefined);
    },
    onRestored(restored) {
      subscriber.on("ready", () => void afterResubscription(subscriber).then(restored, () => undefined));
    },
  };
}

async function within(timeoutMs: number, confirmed: Promise<unknown>, clock: Clock): Promise<void> {
  const done = new AbortController();
  const timeout = sleep(clock, timeoutMs, done.signal).then(() => {
    if (!done.signal.aborted) throw new Error("Command timed out");
  });
  await Promise.race([confirmed, timeout]).finally(() => done.abort());
}

/** Commands of one connection are answered in order, so a ping behind the renewed subscriptions confirms them all. */
async function afterResubscription(subscriber: RedisClient): Promise<void> {
  await Promise.resolve();
  await subscriber.ping();
}

const colon = 0x3a;

/** `<epoch>:<offset>:<stamp>:<packet>`; undefined for anything else. */
export function parseFeedMessage(message: Buffer): FeedMessage | undefined {
  const epochEnd = message.indexOf(colon);
  const offsetEnd = message.indexOf(colon, epochEnd + 1);
  const stampEnd = message.indexOf(colon, offsetEnd + 1);
  if (epochEnd < 1 || offsetEnd - epochEnd > 20 || stampEnd - offsetEnd < 2 || stampEnd - offsetEnd > 20)
    return undefined;
  const offset = Number(message.toString("latin1", epochEnd + 1, offsetEnd));
  const stamp = Number(message.toString("latin1", offsetEnd + 1, stampEnd));
  if (!Number.isSafeInteger(offset) || offset < 1 || !Number.isSafeInteger(stamp)) return undefined;
  return { epoch: message.toString("latin1", 0, epochEnd), offset, stamp, packet: message.subarray(stampEnd + 1) };
}

/** The packet of a publication read from the log: the very bytes the feed would have brought. */
export function packetOf(entry: { json: string; stamp: number }): Buffer {
  return Buffer.from(`42["publication",${entry.json},"${entry.stamp}"]`);
}
