import type { Position, SkippedPublication, SubscribeAnswer, WirePublication } from "../protocol/wire.ts";

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

export interface MergedAnswer {
  /** The reader's position before `missed`: its old position if that was recovered, else the channel's current one. */
  start: Position;
  /** Recovered publications, in order. */
  missed: (WirePublication | SkippedPublication)[];
  /** Publications that arrived before the answer and follow it, in order. */
  live: (WirePublication | SkippedPublication)[];
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
  buffered: readonly (WirePublication | SkippedPublication)[],
): MergedAnswer {
  const present: Position = { epoch: answer.epoch, offset: answer.offset };
  const isBehind = since !== undefined && answer.recovered && since.offset !== present.offset;
  const start = isBehind ? since : present;
  const { skipped } = answer;
  const missed = follow(start, answer.recovered ? answer.publications : [], {
    isRecovered: true,
    conflated: skipped !== undefined,
  });
  // The last one may be among the skipped.
  if (skipped !== undefined) missed.kept.push({ ...present, channel: answer.channel, isSkipped: true });
  const end = { epoch: present.epoch, offset: missed.kept.at(-1)?.offset ?? start.offset };
  const isAnswerWhole = missed.isWhole && continuityOf(end, present) === "repeat";
  const live = isAnswerWhole ? follow(end, buffered, answer) : { kept: [], isWhole: false };
  return { start, missed: missed.kept, live: live.kept, isWhole: live.isWhole };
}

interface FollowOptions {
  conflated?: boolean | undefined;
  /** Recovered publications belong to one log, even if its epoch has changed since. */
  isRecovered?: boolean;
}

function follow(
  start: Position,
  publications: readonly (WirePublication | SkippedPublication)[],
  { conflated, isRecovered }: FollowOptions,
) {
  const kept: (WirePublication | SkippedPublication)[] = [];
  let end: Position = start;
  for (const publication of publications) {
    const continuity = continuityOf(
      isRecovered === true ? { ...end, epoch: publication.epoch } : end,
      publication,
      conflated,
    );
    if (continuity === "gap") return { kept, end, isWhole: false };
    if (continuity === "repeat") continue;
    kept.push(publication);
    end = publication;
  }
  return { kept, end, isWhole: true };
}
