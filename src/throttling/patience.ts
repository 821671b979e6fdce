/** How much hammering one connection may do before it is closed. */
export interface PatienceRule {
  readonly refusals: number;
  readonly windowSeconds: number;
}

/** Refusals of one connection since `since`, in monotonic milliseconds. */
export interface Annoyance {
  refusals: number;
  since: number;
}

export const calm = (): Annoyance => ({ refusals: 0, since: -Infinity });

/** Counts one more refusal; true where there were more than `refusals` within `windowSeconds`. */
export function isTooMuch(rule: PatienceRule, annoyance: Annoyance, nowMs: number): boolean {
  if (nowMs - annoyance.since > rule.windowSeconds * 1_000) {
    annoyance.refusals = 0;
    annoyance.since = nowMs;
  }
  annoyance.refusals += 1;
  return annoyance.refusals > rule.refusals;
}
