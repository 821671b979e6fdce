export interface BackoffOptions {
  /** Delay before the first retry. @default 500 */
  minDelayMs?: number;
  /** Max delay, unless the gateway asks for a longer one. @default 10_000 */
  maxDelayMs?: number;
}

/**
 * Delay before retry number `attempt` (from 0): doubled each time, with jitter of ±50 %, so that clients disconnected
 * together do not reconnect together. A delay requested by the gateway in `error` is the minimum.
 */
export function delayBefore(attempt: number, options: BackoffOptions | undefined, error?: unknown): number {
  const { minDelayMs = 500, maxDelayMs = 10_000 } = options ?? {};
  const { retryAfterMs = 0 } = Object(error) as { retryAfterMs?: number };
  const random = Math.random();
  const doubled = Math.min(minDelayMs * 2 ** Math.min(attempt, 30), maxDelayMs);
  return Math.max(doubled * (0.5 + random), retryAfterMs * (1 + random / 4));
}

/** Waits as long as `delayBefore` says, or until `end` is called. */
export function retryDelay(
  attempt: number,
  options: BackoffOptions | undefined,
  error?: unknown,
): [done: Promise<void>, end: () => void] {
  let end!: () => void;
  const done = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, delayBefore(attempt, options, error));
    end = () => {
      clearTimeout(timer);
      resolve();
    };
  });
  return [done, end];
}
