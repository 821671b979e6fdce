import type { TidegateError } from "./errors.ts";

/** Delay in milliseconds after a refusal without `retryAfterMs`. */
const defaultDelayMs = 1_000;

/** Factors by which the gap between tasks grows after a refusal and shrinks after each success. */
const growth = 1.25;
const shrinkage = 0.98;

/** Runs `task`, and retries it as long as it is refused with `rate_limited`. */
export type Pacer = <T>(task: () => Promise<T>) => Promise<T>;

/**
 * Runs a limited number of tasks at a time. Without it, a reconnecting client with a hundred channels would empty its
 * token bucket and be refused a hundred times. After the first `rate_limited`, tasks run one by one at about the
 * bucket's refill rate until none is left.
 */
export function createPacer(maxRunning: number): Pacer {
  const waiting: (() => void)[] = [];
  let running = 0;
  let gapMs = 0;
  let notBefore = 0;
  let slowedAt = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const startNext = (): void => {
    if (waiting.length + running === 0) gapMs = 0;
    while (running < maxRunning && waiting.length > 0) {
      const now = performance.now();
      if (now < notBefore) {
        timer ??= setTimeout(() => {
          timer = undefined;
          startNext();
        }, notBefore - now);
        return;
      }
      running += 1;
      notBefore = now + gapMs;
      waiting.shift()?.();
    }
  };

  return async (task) => {
    for (;;) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        startNext();
      });
      const begun = performance.now();
      try {
        const result = await task();
        gapMs *= shrinkage;
        return result;
      } catch (error) {
        const { code, retryAfterMs = defaultDelayMs } = error as TidegateError;
        if (code !== "rate_limited") throw error;
        // Tasks that ran concurrently are refused together, which counts once.
        if (begun < slowedAt) continue;
        slowedAt = performance.now();
        gapMs = Math.max(gapMs * growth, retryAfterMs);
        notBefore = slowedAt + gapMs;
      } finally {
        running -= 1;
        startNext();
      }
    }
  };
}
