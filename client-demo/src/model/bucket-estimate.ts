import type { BucketRule } from "./login.ts";

/**
 * Estimates the user's token bucket from the messages that this page sent and the refill rate. `retryAfterMs` of a
 * refusal tells the actual level and corrects the estimate, which does not include other pages of the same user.
 */
export interface BucketEstimate {
  readonly rule: BucketRule;
  /** Estimated number of tokens. */
  level(): number;
  sent(event: string): void;
  refused(event: string, retryAfterMs: number): void;
}

/** The gateway's defaults, for a login without a rule. */
const usual: BucketRule = { capacity: 50, refillPerSecond: 20, costs: { history: 5 } };

export function createBucketEstimate(
  rule: BucketRule = usual,
  now: () => number = () => performance.now(),
): BucketEstimate {
  const { capacity, refillPerSecond, costs } = rule;
  const costOf = (event: string): number => costs[event] ?? 1;
  let tokens = capacity;
  let at = now();

  const level = (): number => Math.min(capacity, tokens + ((now() - at) / 1_000) * refillPerSecond);

  function set(newLevel: number): void {
    at = now();
    tokens = Math.max(0, newLevel);
  }

  return {
    rule,
    level,
    sent(event) {
      const present = level();
      // Without enough tokens the message will be refused, and refused messages cost nothing.
      set(present >= costOf(event) ? present - costOf(event) : present);
    },
    refused: (event, retryAfterMs) => set(costOf(event) - (retryAfterMs / 1_000) * refillPerSecond),
  };
}
