import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { FeedMessageReader, type EphemeralMessage, type FeedMessage, type ResetMessage } from "./feed-message.ts";

/** What a subscribed channel receives. */
export interface FeedReceiver {
  onMessage(message: FeedMessage): void;
  onEphemeral(message: EphemeralMessage): void;
  onReset(message: ResetMessage): void;
}

/** Receives the publications of channels, at most once. Callers detect gaps by offset and read the log. */
export interface Feed {
  /** Resolves when Redis has confirmed the subscription. Rejects if Redis is unavailable. */
  follow(channel: string, receiver: FeedReceiver): Promise<void>;
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
    follow(channel, receiver) {
      // Most channels of users receive nothing.
      let reader: FeedMessageReader | undefined;
      return feed.subscribe(keys.channelFeed(channel), (message) => {
        onRead?.();
        reader ??= new FeedMessageReader(channel);
        const parsed = reader.read(message);
        if (parsed !== undefined) receiver.onMessage(parsed);
        else if (!receiveOther(reader, message, receiver))
          warn({ bytes: message.length }, "ignored a malformed feed message");
      });
    },
    unfollow: (channel) => feed.unsubscribe(keys.channelFeed(channel)),
    onRestored: (restored) => feed.onRestored(restored),
  };
}

/** Returns false for a message that cannot be parsed. */
function receiveOther(reader: FeedMessageReader, message: Buffer, receiver: FeedReceiver): boolean {
  const ephemeral = reader.readEphemeral(message);
  const reset = ephemeral === undefined ? reader.readReset(message) : undefined;
  if (ephemeral !== undefined) receiver.onEphemeral(ephemeral);
  if (reset !== undefined) receiver.onReset(reset);
  return ephemeral !== undefined || reset !== undefined;
}
