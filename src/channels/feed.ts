import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { FeedMessageReader, type FeedMessage } from "./feed-message.ts";

/** The publications of the channels this node follows. At most once: whoever follows numbers, and reads the log. */
export interface Feed {
  /** Resolves when Redis confirmed: what is published from then on is heard. Rejects where the store is away. */
  follow(channel: string, onMessage: (message: FeedMessage) => void): Promise<void>;
  unfollow(channel: string): void;
  /** Called after the connection was lost and every subscription stands again. */
  onRestored(restored: () => void): void;
}

export interface FeedDeps {
  feed: ShardedFeed;
  keys: Keys;
  log: Logger;
  /** Called for each message that Redis sent, whatever becomes of it. */
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

/** The packet of a publication read from the log: the very bytes the feed would have brought. */
export function packetOf(entry: { json: string; timestamp: number }): Buffer {
  return Buffer.from(`42["publication",${entry.json},"${entry.timestamp}"]`);
}
