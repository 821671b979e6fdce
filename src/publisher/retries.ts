export interface RetryDelays {
  minDelayMs: number;
  maxDelayMs: number;
}

/** Max delay before a retry, even if the gateway asks for a longer one. */
const maxRetryAfterMs = 60_000;

/** A factor of ±25 %, so that clients do not retry together. */
export const jitter = (): number => 0.75 + Math.random() / 2;

/** Doubled with each attempt, with jitter, at least the delay that the gateway requested. */
export function retryDelayMs(
  attempts: number,
  { minDelayMs, maxDelayMs }: RetryDelays,
  retryAfterMs = 0,
  spread = jitter(),
): number {
  const ownMs = Math.min(minDelayMs * 2 ** (attempts - 1), maxDelayMs) * spread;
  return Math.max(1, ownMs, Math.min(retryAfterMs, maxRetryAfterMs));
}
