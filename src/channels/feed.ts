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
 * `<epoch>:<offset>:<stamp>:<packet>`; undefined for anything else, and where the packet says otherwise than what stands
 * before it: one bit that is wrong must not take the place of a publication. `head` is how its packets begin.
 */
function parseFeedMessage(message: Buffer, head: string): FeedMessage | undefined {
  const epochEnd = message.indexOf(colon);
  const offsetEnd = message.indexOf(colon, epochEnd + 1);
  const stampEnd = message.indexOf(colon, offsetEnd + 1);
  if (epochEnd < 1 || offsetEnd - epochEnd > 20 || stampEnd - offsetEnd < 2 || stampEnd - offsetEnd > 20)
    return undefined;
  const epoch = message.toString("latin1", 0, epochEnd);
  const offset = Number(message.toString("latin1", epochEnd + 1, offsetEnd));
  const stamp = Number(message.toString("latin1", offsetEnd + 1, stampEnd));
  if (!Number.isSafeInteger(offset) || offset < 1 || !Number.isSafeInteger(stamp)) return undefined;
  const packet = message.subarray(stampEnd + 1);
  return hasFrame(packet, `${head},"epoch":"${epoch}","offset":${offset},`, `,"${stamp}"]`)
    ? { epoch, offset, stamp, packet }
    : undefined;
}

function hasFrame(packet: Buffer, start: string, end: string): boolean {
  const [first, last] = [Buffer.from(start), Buffer.from(end)];
  return packet.subarray(0, first.length).equals(first) && packet.subarray(-last.length).equals(last);
}

/** The packet of a publication read from the log: the very bytes the feed would have brought. */
export function packetOf(entry: { json: string; stamp: number }): Buffer {
  return Buffer.from(`42["publication",${entry.json},"${entry.stamp}"]`);
}
