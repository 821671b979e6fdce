import type { Position } from "../protocol/scalars.ts";
import type { LogEntry, LogSlice } from "./channel-log.ts";
import { latestOf, type Conflation } from "./conflation.ts";
import type { Delivery } from "./delivery-trail.ts";
import type { FeedMessage } from "./feed-message.ts";

/** What a node does with a message of the feed, given where it stands in the channel. */
export type Placement = "next" | "repeat" | "gap";

/** Where a node stands in a channel, and the timestamp of the publication there (0 before the first). */
export interface StreamPosition extends Position {
  timestamp: number;
}

/**
 * Pure: offsets have no holes, so anything but the next one is a repeat or proves that something was missed. So does
 * another publication than the one this node has at that place: a store that lost its tail gave the offset again.
 */
export function place(stand: StreamPosition, message: Omit<FeedMessage, "packet">): Placement {
  if (message.epoch !== stand.epoch) return "gap";
  if (message.offset === stand.offset + 1) return message.previousTimestamp === stand.timestamp ? "next" : "gap";
  return message.offset <= stand.offset && message.timestamp <= stand.timestamp ? "repeat" : "gap";
}

/** What a subscriber that comes back is answered: exactly what it missed, or that this cannot be said. */
export interface Recovery {
  recovered: boolean;
  /** JSON texts, in order. */
  publications: string[];
}

/** Pure: never a silent part of what was missed. */
export function recoveryFrom(slice: LogSlice, since: Position): Recovery {
  if (!slice.isWhole || slice.epoch !== since.epoch) return { recovered: false, publications: [] };
  const isComplete = slice.entries.every((entry, index) => entry.offset === since.offset + 1 + index);
  if (!isComplete || since.offset + slice.entries.length !== slice.offset)
    return { recovered: false, publications: [] };
  return { recovered: true, publications: slice.entries.map((entry) => entry.json) };
}

/** What one channel of a returning connection held after the timestamp it knew. */
export interface MissedSlice {
  channel: string;
  slice: LogSlice;
  /** Where the channel conflates: then only the latest is sent. */
  conflation?: Conflation | undefined;
}

export interface MissedEntry extends LogEntry {
  channel: string;
  epoch: string;
}

export interface MergedRecovery {
  /** In the order in which the connection would have read them. */
  entries: MissedEntry[];
  /** The same without what was published. */
  deliveries: Delivery[];
  /** Where each channel stands once these are read. */
  positions: Map<string, Position>;
}

/**
 * Pure: what was missed over all channels, up to the last timestamp given when the reading began; what was timestamped later
 * comes from the feed, in order. Undefined where one channel cannot say what was missed.
 */
export function mergeMissed(slices: readonly MissedSlice[], upTo: number): MergedRecovery | undefined {
  if (slices.some(({ slice }) => !slice.isWhole)) return undefined;
  const entries: MissedEntry[] = [];
  const answered = new Map<string, Position>();
  for (const { channel, slice, conflation } of slices) {
    const missed = slice.entries.filter((entry) => entry.timestamp <= upTo);
    const { epoch } = slice;
    const sent = conflation === undefined ? missed : latestOf(conflation, missed);
    for (const entry of sent) entries.push({ ...entry, channel, epoch });
    answered.set(channel, { epoch, offset: slice.offset - (slice.entries.length - missed.length) });
  }
  entries.sort((a, b) => a.timestamp - b.timestamp);
  const sent = entries.map(({ channel, epoch, offset, timestamp }) => ({ channel, epoch, offset, timestamp }));
  return { entries, deliveries: sent, positions: answered };
}
