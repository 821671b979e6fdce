import { randomUUID } from "node:crypto";
import type { BusDriver, CacheBusMessage, CreateBusDriverResult } from "bentocache/types";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Logger } from "../runtime/logger.ts";

export interface BusDeps {
  commands: RedisClient;
  keys: Keys;
  feed: ShardedFeed;
  log: Logger;
  /** Keys that another node wrote or expired. */
  onExpired: (keys: readonly string[]) => void;
}

/** Tells the nodes' memories of each other. */
export interface CacheBus {
  readonly driver: CreateBusDriverResult;
  start(): Promise<void>;
  stop(): void;
  /** Nothing in this node's memory is trusted any more: messages may have been lost. */
  forgetHere(): void;
}

type Handler = (message: CacheBusMessage) => void;

/**
 * BentoCache's bus over the feed that this node has anyway. The library's own opens two more connections that nobody
 * listens to when they fail, lets a failed subscription end in an unhandled rejection, and says nothing of messages that
 * were lost while it was away.
 */
export function createBus({ commands, keys, feed, log, onExpired }: BusDeps): CacheBus {
  const from = randomUUID();
  const handlers = new Set<Handler>();
  /** As BentoCache names the one cache there is. */
  const namespace = keys.cache();

  const driver: BusDriver = {
    setId: () => driver,
    onReconnect: () => undefined,
    async publish(_channel, message) {
      await commands.spublish(keys.cacheFeed(), JSON.stringify({ from, message }));
    },
    async subscribe(_channel, handler) {
      handlers.add(handler as unknown as Handler);
    },
    unsubscribe: () => Promise.resolve(),
    disconnect: () => Promise.resolve(),
  };

  const tell = (message: CacheBusMessage): void => handlers.forEach((handler) => handler(message));

  function hear(bytes: Buffer): void {
    const heard = parse(bytes);
    if (heard === undefined) return log.warn({ bytes: bytes.length }, "cache message of a foreign form ignored");
    if (heard.from === from) return;
    onExpired(heard.message.keys);
    tell(heard.message);
  }

  return {
    driver: { options: { retryQueue: { enabled: false, retryInterval: false } }, factory: () => driver },
    start: () => feed.follow(keys.cacheFeed(), hear),
    stop: () => feed.unfollow(keys.cacheFeed()),
    forgetHere: () => tell({ type: "clear", keys: [], namespace }),
  };
}

/** Undefined for what no node of ours has sent. */
function parse(bytes: Buffer): { from: string; message: CacheBusMessage } | undefined {
  try {
    const { from, message } = JSON.parse(bytes.toString()) as { from?: unknown; message?: Partial<CacheBusMessage> };
    const isGood = typeof from === "string" && typeof message?.type === "string" && Array.isArray(message.keys);
    if (!isGood || !message.keys?.every((key) => typeof key === "string")) return undefined;
    return { from, message: message as CacheBusMessage };
  } catch {
    return undefined;
  }
}
