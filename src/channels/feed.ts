import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { FeedMessageReader, type FeedMessage } from "./feed-message.ts";

/** Receives the publications of channels, at most once. Callers detect gaps by offset and read the log. */
export interface Feed {
  /** Resolves when Redis has confirmed the subscription. Rejects if Redis is unavailable. */
  follow(channel: string, onMessage: (message: FeedMessage) => void): Promise<void>;
  unfollow(channel: string): void;
  /** Called after a lost connection, when every subscription is restored. */
  onRestored(restored: () => void): void;
}

export interface FeedDeps {
  feed: ShardedFeed;
  keys: Keys;
  log: Logger;
  /** Called for each received message, valid or not. */
  onRead?: () => void;
}

export function createFeed({ feed, keys, log, onRead }: FeedDeps): Feed {
  const warn = createPacedWarnings(log);

  return {
    follow(channel, onMessage) {
      const reader = new FeedMessageReader(channel);
      return feed.subscribe(keys.channelFeed(channel), (message) => {
        onRead?.();
        const parsed = reader.read(message);
        if (parsed === undefined) warn({ bytes: message.length }, "ignored a malformed feed message");
        else onMessage(parsed);
      });
    },
    unfollow: (channel) => feed.unsubscribe(keys.channelFeed(channel)),
    onRestored: (restored) => feed.onRestored(restored),
  };
}

/** The packet of a publication from the log, identical to the one from the feed. */
export function packetOf(entry: { json: string; timestamp: number }): Buffer {
  return Buffer.from(`42["publication",${entry.json},"${entry.timestamp}"]`);
}
