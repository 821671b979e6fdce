import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/**
 * Whether requests to Redis, or to an app, are worth sending. After a failure it is open for a second, so that a Redis that hangs delays
 * one operation and not each; then one operation is let through as a test, and closes it if it succeeds.
 */
export interface CircuitBreaker {
  readonly isOpen: boolean;
  /** Whether the caller may send a request. While open, one caller per second may: the test request. */
  allowRequest(): boolean;
  /** A request failed. */
  recordFailure(error: unknown): void;
  /** A request succeeded. */
  recordSuccess(): void;
}

const probeEveryMs = 1_000;

export function createCircuitBreaker({ clock, log }: { clock: Clock; log: Logger }, target = "Redis"): CircuitBreaker {
  let isOpen = false;
  let nextProbeAt = 0;
  return {
    get isOpen() {
      return isOpen;
    },
    allowRequest() {
      if (!isOpen) return true;
      if (clock.monotonic() < nextProbeAt) return false;
      nextProbeAt = clock.monotonic() + probeEveryMs;
      return true;
    },
    recordFailure(error) {
      if (!isOpen) log.debug({ reason: reasonOf(error) }, `${target} is unreachable; pausing requests`);
      isOpen = true;
      nextProbeAt = clock.monotonic() + probeEveryMs;
    },
    recordSuccess() {
      if (isOpen) log.debug({}, `${target} answers again`);
      isOpen = false;
    },
  };
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
