import { micro, type LimiterOutcome } from "./rate-limit-result.ts";

/** At most `requests` in `windowSeconds`. */
export interface WindowRule {
  readonly requests: number;
  readonly windowSeconds: number;
}

/** The cost allowed since the window opened, and when it ends, in microseconds. */
export interface FixedWindow {
  readonly used: number;
  readonly endsAt: number;
}

/**
 * `fixed-window.lua` as a pure function. The window opens with the first allowed operation and ends `windowSeconds` later,
 * so its boundaries cannot be predicted; refused operations do not count and do not extend it.
 */
export function takeFromFixedWindow(
  rule: WindowRule,
  window: FixedWindow | undefined,
  now: number,
  cost: number,
): [FixedWindow | undefined, LimiterOutcome] {
  const length = rule.windowSeconds * micro;
  const isOpen = window !== undefined && window.endsAt > now;
  const used = isOpen ? window.used : 0;
  const endsAt = isOpen ? Math.min(window.endsAt, now + length) : now + length;
  const left = endsAt - now;
  const allowed = used + cost <= rule.requests;
  const counted = allowed ? used + cost : used;
  const wait = cost > rule.requests ? Infinity : left;
  return [
    counted === 0 ? undefined : { used: counted, endsAt },
    {
      allowed,
      remaining: rule.requests - counted,
      retryAfter: allowed ? 0 : wait,
      resetAfter: counted === 0 ? 0 : left,
    },
  ];
}
