import type { Random } from "../random.ts";

/** When publications are due. */
export interface Pace {
  perSecond: number;
  durationSeconds: number;
  /** `steady`: evenly spaced. `poisson`: at random, as many independent senders would. */
  arrivals: "steady" | "poisson";
  /** So many are due at the same moment. */
  burst: number;
}

/**
 * The moments at which publications are due, in milliseconds from the beginning. They are fixed before anything is sent
 * and know nothing of how the house fares: one that is slow does not make its own load lighter.
 */
export function* schedule({ perSecond, durationSeconds, arrivals, burst }: Pace, random: Random): Generator<number> {
  const meanGapMs = (1_000 * burst) / perSecond;
  const gap = arrivals === "steady" ? () => meanGapMs : () => -Math.log(1 - random()) * meanGapMs;
  // Without a first wait every run would begin with all lanes at once.
  for (let due = gap(); due < durationSeconds * 1_000; due += gap()) {
    for (let one = 0; one < burst; one += 1) yield due;
  }
}
