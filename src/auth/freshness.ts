import type { Clock } from "../runtime/clock.ts";

export interface FreshnessOptions {
  /** Milliseconds after which what was loaded is loaded again behind the callers' backs. */
  freshMs: number;
  /** Milliseconds after which callers wait for a load that succeeds. */
  staleMs: number;
  /** Least milliseconds between a load and one that a caller asks for. */
  cooldownMs: number;
  /** Milliseconds without another try after a failure. */
  pauseMs: number;
}

export interface Freshness {
  /** Whether what was loaded is young enough to be used. */
  isUsable(): boolean;
  /** Resolves where what was loaded may be used; rejects where there is none young enough and loading failed. */
  ensure(): Promise<void>;
  /** Loads again for a caller who misses something: false where that was done a moment ago, rejects where it failed. */
  renew(): Promise<boolean>;
}

/**
 * Stale-while-revalidate for one thing that is loaded from elsewhere: a short outage there goes unnoticed here, a long
 * one is told. `load` must answer callers that come while it runs with the same promise.
 */
export function createFreshness(load: () => Promise<void>, clock: Clock, options: FreshnessOptions): Freshness {
  let loadedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;

  const age = (): number => clock.monotonic() - loadedAt;

  async function reload(): Promise<void> {
    if (clock.monotonic() - failedAt < options.pauseMs) throw new Error("the last load failed; not retrying yet");
    try {
      await load();
      loadedAt = clock.monotonic();
    } catch (error) {
      failedAt = clock.monotonic();
      throw error;
    }
  }

  return {
    isUsable: () => age() < options.staleMs,

    async ensure() {
      if (age() < options.freshMs) return;
      const reloading = reload();
      if (age() >= options.staleMs) return reloading;
      reloading.catch(() => undefined); // What is stale serves on; the next caller tries again.
    },

    async renew() {
      if (age() < options.cooldownMs) return false;
      await reload();
      return true;
    },
  };
}
