import type { BucketRule } from "./login.ts";

/**
 * What a page can know of its user's bucket of messages. It counts what it sends and what time gives back; a refusal says
 * how long until there is enough again, and so how much there is, which sets the count right. Other pages of the same
 * user draw from the same bucket unseen, until then.
 */
export interface Reckoning {
  readonly rule: BucketRule;
  /** Tokens there should be at this moment. */
  level(): number;
  sent(event: string): void;
  refused(event: string, retryAfterMs: number): void;
}

/** The gateway's own defaults, for a login that does not tell. */
const usual: BucketRule = { capacity: 50, refillPerSecond: 20, costs: { history: 5 } };

export function createReckoning(rule: BucketRule = usual, now: () => number = () => performance.now()): Reckoning {
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
      // What is not enough will be refused, and a refused message costs nothing.
      set(present >= costOf(event) ? present - costOf(event) : present);
    },
    refused: (event, retryAfterMs) => set(costOf(event) - (retryAfterMs / 1_000) * refillPerSecond),
  };
}
