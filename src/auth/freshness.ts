import type { Clock } from "../runtime/clock.ts";

export interface FreshnessOptions {
  /** Milliseconds after which the value is reloaded in the background. */
  freshMs: number;
  /** Milliseconds after which callers wait for a successful load. */
  staleMs: number;
  /** Min milliseconds between a load and one that a caller requests. */
  cooldownMs: number;
  /** Milliseconds without a retry after a failure. */
  pauseMs: number;
}

export interface Freshness {
  /** Whether the value is young enough to be used. */
  isUsable(): boolean;
  /** Resolves once the value may be used; rejects if it is too old and loading failed. */
  ensure(): Promise<void>;
  /** Reloads for a caller that misses something: false if it was loaded within the cooldown, rejects if loading failed. */
  renew(): Promise<boolean>;
}

/**
 * Stale-while-revalidate for one remote value: a short outage of its source goes unnoticed, a long one rejects. Concurrent
 * calls of `load` must return the same promise.
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
      reloading.catch(() => undefined); // The stale value is used; the next caller retries.
    },

    async renew() {
      if (age() < options.cooldownMs) return false;
      await reload();
      return true;
    },
  };
}
