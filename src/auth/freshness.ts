import type { Clock } from "../runtime/clock.ts";

export interface FreshnessOptions {
  /** Milliseconds after which what was loaded is loaded again behind the callers' backs. */
  freshMs: number;
  /** Milliseconds after which callers wait for a load that succeeds. */
  staleMs: number;
  /** Milliseconds without another try after a failure. */
  pauseMs: number;
}

export interface Freshness {
  /** Resolves where what was loaded may be used; rejects where there is none young enough and loading failed. */
  ensure(): Promise<void>;
  /** Throws while a failure is so recent that nobody should try again. */
  checkPause(): void;
  /** Starts such a pause. */
  failed(): void;
}

/**
 * Stale-while-revalidate for one thing that is loaded from elsewhere: a short outage there goes unnoticed here, a long
 * one is told. `load` must answer callers that come while it runs with the same promise.
 */
export function createFreshness(load: () => Promise<void>, clock: Clock, options: FreshnessOptions): Freshness {
  let loadedAt = Number.NEGATIVE_INFINITY;
  let pausedUntil = Number.NEGATIVE_INFINITY;

  const failed = (): void => void (pausedUntil = clock.monotonic() + options.pauseMs);

  async function reload(): Promise<void> {
    checkPause();
    await load().catch((error: unknown) => {
      failed();
      throw error;
    });
    loadedAt = clock.monotonic();
  }

  function checkPause(): void {
    if (clock.monotonic() < pausedUntil) throw new Error("failed a moment ago");
  }

  async function ensure(): Promise<void> {
    const age = clock.monotonic() - loadedAt;
    if (age < options.freshMs) return;
    const reloading = reload();
    if (age >= options.staleMs) return reloading;
    reloading.catch(() => undefined); // What is stale serves on; the next caller tries again.
  }

  return { ensure, checkPause, failed };
}
