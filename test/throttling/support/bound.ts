/** An act that passed: its token was taken somewhere between asking and hearing, in milliseconds of one clock. */
export interface PassedAct {
  asked: number;
  heard: number;
  cost: number;
}

/**
 * How far acts surely went above what the refill alone explains: over all windows, the most of `cost in the window −
 * refill in the window`, each window taken as long as it can have been. A bucket of that capacity lets them through.
 */
export function mostAbove(acts: readonly PassedAct[], refillPerSecond: number): number {
  const heard = acts.toSorted((a, b) => a.heard - b.heard);
  const earliest = earliestFrom(heard);
  let most = 0;
  let spent = 0;
  let best = -Infinity;
  for (const [index, act] of heard.entries()) {
    best = Math.max(best, ((earliest[index] ?? act.asked) * refillPerSecond) / 1_000 - spent);
    spent += act.cost;
    most = Math.max(most, spent - (act.heard * refillPerSecond) / 1_000 + best);
  }
  return most;
}

/** For each act, when the first of it and all later ones was asked. */
function earliestFrom(acts: readonly PassedAct[]): number[] {
  let earliest = Infinity;
  return acts
    .toReversed()
    .map(({ asked }) => (earliest = Math.min(earliest, asked)))
    .toReversed();
}
