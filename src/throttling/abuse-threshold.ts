/** More refusals than this within the window close the connection. */
export interface AbuseThreshold {
  readonly refusals: number;
  readonly windowSeconds: number;
}

/** A connection's refusals since `since`, in monotonic milliseconds. */
export interface ViolationCounter {
  refusals: number;
  since: number;
}

export const noViolations = (): ViolationCounter => ({ refusals: 0, since: -Infinity });

/** Counts a refusal; true if there were more than `refusals` within `windowSeconds`. */
export function countViolation(rule: AbuseThreshold, counter: ViolationCounter, nowMs: number): boolean {
  if (nowMs - counter.since > rule.windowSeconds * 1_000) {
    counter.refusals = 0;
    counter.since = nowMs;
  }
  counter.refusals += 1;
  return counter.refusals > rule.refusals;
}
