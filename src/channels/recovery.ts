import type { Position } from "../protocol/scalars.ts";
import { latestOf, type Conflation } from "./conflation.ts";
import type { Delivery } from "./delivery-trail.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { LogEntry, LogSlice, MissedEntry, StreamPosition } from "./log-entry.ts";

/** How a feed message relates to a node's position. */
export type Placement = "next" | "repeat" | "gap";

/**
 * Pure: offsets have no gaps, so anything but the next one is a repeat or reveals a gap. So does a publication that
 * follows another one than this node has at that offset: a Redis that lost its tail assigned the offset again.
 */
export function place(position: StreamPosition, message: Omit<FeedMessage, "packet">): Placement {
  if (message.epoch !== position.epoch) return "gap";
  if (message.offset === position.offset + 1) return message.previousTimestamp === position.timestamp ? "next" : "gap";
  return message.offset <= position.offset && message.timestamp <= position.timestamp ? "repeat" : "gap";
}

/** Exactly what the client missed, or that this is unknown. */
export interface Recovery {
  recovered: boolean;
  /** In order. */
  entries: readonly LogEntry[];
}

/** Pure: complete or `recovered: false`, never a part. */
export function recoveryFrom(slice: LogSlice, since: Position): Recovery {
  if (!slice.isWhole || slice.epoch !== since.epoch) return { recovered: false, entries: [] };
  const isComplete = slice.entries.every((entry, index) => entry.offset === since.offset + 1 + index);
  if (!isComplete || since.offset + slice.entries.length !== slice.offset) return { recovered: false, entries: [] };
  return { recovered: true, entries: slice.entries };
}

/** What the log of one channel contains after the timestamp of a recovering connection. */
export interface MissedSlice {
  channel: string;
  slice: LogSlice;
  /** If set, only the latest publication of each key is sent. */
  conflation?: Conflation | undefined;
}

export interface MergedRecovery {
  /** In the order in which the connection would have received them. */
  entries: MissedEntry[];
  /** The entries without their content. */
  deliveries: Delivery[];
  /** The position in each channel after these entries. */
  positions: Map<string, Position>;
}

/**
 * Pure: what was missed over all channels, up to the last timestamp assigned when the reading began; later
 * publications follow from the feed. Undefined if any channel is incomplete.
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
