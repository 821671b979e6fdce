export interface BackoffRange {
  minMs: number;
  maxMs: number;
}

/**
 * Milliseconds before retry number `attempt` (from 0): exponential between `minMs` and `maxMs`, with 25 % jitter to either
 * side, so that callers that failed together do not retry together.
 */
export const backoffDelay = (attempt: number, { minMs, maxMs }: BackoffRange): number =>
  Math.min(minMs * 2 ** Math.min(attempt, 30), maxMs) * (0.75 + Math.random() / 2);
