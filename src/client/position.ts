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
export function continuityOf(position: Position, publication: Position, isConflated = false): Continuity {
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
  const isBehind = since !== undefined && answer.recovered && since.offset !== present.offset;
  const start = isBehind ? since : present;
  const missed = follow(start, answer.recovered ? recoveredItems(answer) : [], { isOneLog: true });
  const end = { ...present, offset: missed.end.offset };
  const isAnswerWhole = missed.isWhole && present.offset <= end.offset;
  const live = follow(end, isAnswerWhole ? buffered : [], answer);
  return { start, missed: missed.kept, live: live.kept, isWhole: isAnswerWhole && live.isWhole };
}

/** The recovered publications and skipped positions, in order. */
function recoveredItems({ channel, epoch, publications, skipped = [] }: SubscribeAnswer): readonly ChannelItem[] {
  const items: ChannelItem[] = [...publications, ...skipped.map((offset) => ({ channel, epoch, offset }))];
  // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
  return items.sort((one, other) => one.offset - other.offset);
}

interface FollowOptions {
  conflated?: boolean | undefined;
  /** Recovered publications belong to one log, even if its epoch has changed since. */
  isOneLog?: boolean;
}

function follow(end: Position, items: readonly ChannelItem[], { conflated, isOneLog }: FollowOptions) {
  const kept: ChannelItem[] = [];
  const isWhole = items.every((item) => {
    const continuity = continuityOf(isOneLog ? { ...end, epoch: item.epoch } : end, item, conflated);
    if (continuity === "next") kept.push((end = item));
    return continuity !== "gap";
  });
  return { kept, end, isWhole };
}
