import type { Random } from "../random.ts";

/** When publications are due. */
export interface ArrivalRate {
  perSecond: number;
  durationSeconds: number;
  /** `steady`: evenly spaced. `poisson`: random, as from many independent senders. */
  arrivals: "steady" | "poisson";
  /** Number due at the same moment. */
  burst: number;
}

/**
 * The times at which publications are due, in milliseconds from the start. They are fixed before anything is sent and
 * do not depend on the target, so a slow target does not reduce its own load.
 */
export function* schedule(
  { perSecond, durationSeconds, arrivals, burst }: ArrivalRate,
  random: Random,
): Generator<number> {
  const meanGapMs = (1_000 * burst) / perSecond;
  const gap = arrivals === "steady" ? () => meanGapMs : () => -Math.log(1 - random()) * meanGapMs;
  // Without an initial gap every run would start with all queues at once.
  for (let due = gap(); due < durationSeconds * 1_000; due += gap()) {
    for (let one = 0; one < burst; one += 1) yield due;
  }
}
