import type { Position } from "../protocol/scalars.ts";
import type { LogSlice } from "./channel-log.ts";
import type { FeedMessage } from "./feed.ts";

/** What a node does with a message of the feed, given where it stands in the channel. */
export type Placement = "next" | "repeat" | "gap";

/** Pure: offsets have no holes, so anything but the next one is a repeat or proves that something was missed. */
export function place(position: Position, message: Pick<FeedMessage, "epoch" | "offset">): Placement {
  if (message.epoch !== position.epoch) return "gap";
  if (message.offset === position.offset + 1) return "next";
  return message.offset <= position.offset ? "repeat" : "gap";
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
