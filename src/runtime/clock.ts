/** Cancels a timer of `after` or `every`. Calling it twice is harmless. */
export type Cancel = () => void;

/** Time as a dependency: tests pass a clock that they advance manually. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds that never jump, for durations. */
  monotonic(): number;
  /** Runs `run` once after `delayMs`. Does not keep the process alive. */
  after(delayMs: number, run: () => void): Cancel;
  /** Runs `run` each `periodMs` until cancelled. Does not keep the process alive. */
  every(periodMs: number, run: () => void): Cancel;
}

/** Max delay of a Node timer; a longer one would fire immediately. */
const maxTimerMs = 2_147_483_647;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), maxTimerMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(periodMs, run) {
    const timer = setInterval(run, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/** Resolves after `delayMs` on this clock, immediately if `signal` aborts. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
