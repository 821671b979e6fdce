import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/** What a limiter does while the store is away: let everything pass, nothing, or count in this node alone. */
export type WhenStoreIsAway = "open" | "closed" | "local";

/**
 * Whether the store answers, as all limiters of a node know it together. After a failure nobody asks for a second, so
 * that a store which hangs costs one act its patience and not each; then one act asks, and the rest wait for its news.
 */
export interface Absence {
  readonly isAway: boolean;
  /** True where this act may ask the store. While the store is away, one caller a second gets it: the probe. */
  mayAsk(): boolean;
  /** The store failed. */
  began(error: unknown): void;
  /** The store answered. */
  ended(): void;
}

const probeEveryMs = 1_000;

export function createAbsence({ clock, log }: { clock: Clock; log: Logger }): Absence {
  let isAway = false;
  let nextProbeAt = 0;
  return {
    get isAway() {
      return isAway;
    },
    mayAsk() {
      if (!isAway) return true;
      if (clock.monotonic() < nextProbeAt) return false;
      nextProbeAt = clock.monotonic() + probeEveryMs;
      return true;
    },
    began(error) {
      if (!isAway) log.debug({ reason: reasonOf(error) }, "Redis is unreachable; enforcing limits locally");
      isAway = true;
      nextProbeAt = clock.monotonic() + probeEveryMs;
    },
    ended() {
      if (isAway) log.debug({}, "enforcing limits in Redis again");
      isAway = false;
    },
  };
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
