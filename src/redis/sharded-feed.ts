import { sleep, type Clock } from "../runtime/clock.ts";
import type { RedisClient } from "./connections.ts";

/**
 * Sharded pub/sub over one connection for everybody on this node. At most once: what was published while the connection
 * was away is gone, so whoever follows numbers, and reads its log when it is told that the feed was restored.
 */
export interface ShardedFeed {
  /** Resolves when Redis confirmed: what is published from then on is heard. Rejects where the store is away. */
  follow(key: string, onMessage: (message: Buffer) => void): Promise<void>;
  unfollow(key: string): void;
  /** Called after the connection was lost and every subscription stands again. */
  onRestored(restored: () => void): void;
}

/** Longest wait for Redis to confirm a subscription; the connection itself would wait for ever. */
const followTimeoutMs = 3_000;

export function createShardedFeed({ subscriber, clock }: { subscriber: RedisClient; clock: Clock }): ShardedFeed {
  const listeners = new Map<string, (message: Buffer) => void>();

  subscriber.on("smessageBuffer", (key: Buffer, message: Buffer) => {
    listeners.get(key.toString("latin1"))?.(message);
  });

  return {
    async follow(key, onMessage) {
      if (subscriber.status !== "ready") throw new Error("Connection is closed.");
      listeners.set(key, onMessage);
      await within(followTimeoutMs, subscriber.ssubscribe(key), clock);
    },
    unfollow(key) {
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
