import type { ChannelPosition, Position, SubscribeAnswer, WirePublication } from "../protocol/wire.ts";

/** A publication, or the position of one that this connection does not receive. */
export type ChannelItem = WirePublication | ChannelPosition;

/**
 * Relation of a publication to the position of a reader: the next one, one it already had, or one after a gap.
 */
export type Continuity = "next" | "repeat" | "gap";

/**
 * A publication of another epoch is a gap: only the gateway knows what happened to the log. In a conflated channel the
 * gateway omits superseded publications, so any later one is the next.
 */
export function continuityOf(position: Position, publication: Position, isConflated?: boolean): Continuity {
  if (publication.epoch !== position.epoch) return "gap";
  if (publication.offset <= position.offset) return "repeat";
  return isConflated || publication.offset === position.offset + 1 ? "next" : "gap";
}

export const positionOf = ({ epoch, offset }: Position): Position => ({ epoch, offset });

export interface MergedAnswer {
  /** The reader's position before `missed`: its old position if that was recovered, else the channel's current one. */
  start: Position;
  /** Recovered publications, in order. */
  missed: ChannelItem[];
  /** Publications that arrived before the answer and follow it, in order. */
  live: ChannelItem[];
  /** False if publications are still missing; the reader has to ask again. */
  isWhole: boolean;
}

/**
 * Merges the answer to a subscribe request with the publications that arrived meanwhile. Each is kept once and in
 * order; everything after the first gap is dropped.
 */
export function mergeAnswer(
  since: Position | undefined,
  answer: SubscribeAnswer,
  buffered: readonly ChannelItem[],
): MergedAnswer {
  const present = positionOf(answer);
  const start = since && answer.recovered && since.offset !== present.offset ? since : present;
  let end = start;
  let isWhole = true;
  const follow = (items: readonly ChannelItem[], isConflated?: boolean, isOneLog?: boolean): ChannelItem[] =>
    items.filter((item) => {
      const continuity = continuityOf(isOneLog ? { ...end, epoch: item.epoch } : end, item, isConflated);
      isWhole &&= continuity !== "gap";
      const isNext = isWhole && continuity === "next";
      if (isNext) end = item;
      return isNext;
    });
  // Recovered publications belong to one log, even if its epoch has changed since.
  const missed = follow(recoveredItems(answer), false, true);
  end = { ...present, offset: end.offset };
  isWhole &&= present.offset <= end.offset;
  return { start, missed, live: follow(buffered, answer.conflated), isWhole };
}

/** The recovered publications and skipped positions, in order. */
function recoveredItems({ channel, epoch, publications, skipped = [] }: SubscribeAnswer): readonly ChannelItem[] {
  const items: ChannelItem[] = [...publications, ...skipped.map((offset) => ({ channel, epoch, offset }))];
  // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
  return items.sort((one, other) => one.offset - other.offset);
}
