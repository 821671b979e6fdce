import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";

/** One publication as the feed brings it: its place, and the packet that every subscriber is sent as it is. */
export interface FeedMessage {
  epoch: string;
  offset: number;
  /** Orders publications over all channels of one store. */
  stamp: number;
  /** Of the publication before it in the channel: whoever stands at another one has read what the store has lost. */
  previous: number;
  /** Text of the Engine.IO packet, in UTF-8: `42["publication",{…},"<stamp>"]`. */
  packet: Buffer;
}

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
      const head = `42["publication",{"channel":${JSON.stringify(channel)}`;
      return feed.follow(keys.channelFeed(channel), (message) => {
        onRead?.();
        const parsed = parseFeedMessage(message, head);
        if (parsed === undefined) warn({ bytes: message.length }, "feed message of a foreign form ignored");
        else onMessage(parsed);
      });
    },
    unfollow: (channel) => feed.unfollow(keys.channelFeed(channel)),
    onRestored: (restored) => feed.onRestored(restored),
  };
}

const colon = 0x3a;

/**
 * `<epoch>:<offset>:<stamp>:<previous>:<packet>`; undefined for anything else, and where the packet says otherwise than what stands
 * before it: one bit that is wrong must not take the place of a publication. `head` is how its packets begin.
 */
function parseFeedMessage(message: Buffer, head: string): FeedMessage | undefined {
  const epochEnd = message.indexOf(colon);
  const offsetEnd = message.indexOf(colon, epochEnd + 1);
  const stampEnd = message.indexOf(colon, offsetEnd + 1);
  const previousEnd = message.indexOf(colon, stampEnd + 1);
  if (epochEnd < 1 || offsetEnd <= epochEnd || stampEnd <= offsetEnd || previousEnd <= stampEnd) return undefined;
  const epoch = message.toString("latin1", 0, epochEnd);
  const offset = numberIn(message, epochEnd + 1, offsetEnd);
  const stamp = numberIn(message, offsetEnd + 1, stampEnd);
  const previous = numberIn(message, stampEnd + 1, previousEnd);
  if (offset === undefined || stamp === undefined || previous === undefined || offset < 1) return undefined;
  const packet = message.subarray(previousEnd + 1);
  const isSame = hasFrame(packet, `${head},"epoch":"${epoch}","offset":${offset},`, `,"${stamp}"]`);
  return isSame ? { epoch, offset, stamp, previous, packet } : undefined;
}

/** A whole number of 1 to 19 digits that JavaScript can hold. */
function numberIn(message: Buffer, start: number, end: number): number | undefined {
  if (end - start < 1 || end - start > 19) return undefined;
  const value = Number(message.toString("latin1", start, end));
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function hasFrame(packet: Buffer, start: string, end: string): boolean {
  const [first, last] = [Buffer.from(start), Buffer.from(end)];
  return packet.subarray(0, first.length).equals(first) && packet.subarray(-last.length).equals(last);
}

/** The packet of a publication read from the log: the very bytes the feed would have brought. */
export function packetOf(entry: { json: string; stamp: number }): Buffer {
  return Buffer.from(`42["publication",${entry.json},"${entry.stamp}"]`);
}
