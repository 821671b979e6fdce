import type { Position, SubscribeAnswer, WirePublication } from "../protocol/wire.ts";

/** How a publication stands to a reader's position: the one that follows, one it had, or one that comes too early. */
export type Fit = "next" | "repeat" | "hole";

/**
 * A publication of another epoch is a hole: only the gateway can say what became of the log. Where it conflates the
 * channel it leaves out what a later one made needless, so what comes later is the next.
 */
export function fit(position: Position, publication: Position, isConflated = false): Fit {
  if (publication.epoch !== position.epoch) return "hole";
  if (publication.offset <= position.offset) return "repeat";
  return isConflated || publication.offset === position.offset + 1 ? "next" : "hole";
}

export interface Merged {
  /** Where the reader stands before `missed`: its old position where that was recovered, else the channel's present. */
  start: Position;
  /** What the answer brought back, in order. */
  missed: WirePublication[];
  /** What arrived by itself before the answer did and comes after it, in order. */
  live: WirePublication[];
  /** False where something is missing behind what is here; the reader has to ask again. */
  isWhole: boolean;
}

/**
 * Joins the answer of a subscription with the publications that came while it was under way. Each is kept once and in
 * order; after the first hole nothing is kept.
 */
export function merge(since: Position | undefined, answer: SubscribeAnswer, early: readonly WirePublication[]): Merged {
  const present: Position = { epoch: answer.epoch, offset: answer.offset };
  const isBehind = since !== undefined && answer.recovered && since.offset !== present.offset;
  const start = isBehind ? since : present;
  const missed = follow(start, answer.recovered ? answer.publications : [], { isRecovered: true });
  const end = { epoch: present.epoch, offset: missed.end.offset };
  const isAnswerWhole = missed.isWhole && fit(end, present) === "repeat";
  const live = isAnswerWhole ? follow(end, early, answer) : { kept: [], isWhole: false };
  return { start, missed: missed.kept, live: live.kept, isWhole: live.isWhole };
}

interface Following {
  conflated?: boolean | undefined;
  /** What a recovery brings is of one log, also where that has gone on under another epoch since. */
  isRecovered?: boolean;
}

function follow(start: Position, publications: readonly WirePublication[], { conflated, isRecovered }: Following) {
  const kept: WirePublication[] = [];
  let end = start;
  for (const publication of publications) {
    const found = fit(isRecovered === true ? { ...end, epoch: publication.epoch } : end, publication, conflated);
    if (found === "hole") return { kept, end, isWhole: false };
    if (found === "repeat") continue;
    kept.push(publication);
    end = publication;
  }
  return { kept, end, isWhole: true };
}
