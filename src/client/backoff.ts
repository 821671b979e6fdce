import { deferred } from "./deferred.ts";

export interface BackoffOptions {
  /** Delay before the first repeat. @default 500 */
  minDelayMs?: number;
  /** No delay grows beyond it, save one that the gateway asks for. @default 10_000 */
  maxDelayMs?: number;
}

export type Backoff = Required<BackoffOptions>;

export const defaultBackoff: Backoff = { minDelayMs: 500, maxDelayMs: 10_000 };

/**
 * How long to wait before repeat number `attempt` (from 0): doubled each time, spread by half to either side, so that
 * many clients cut off together do not come back together. A delay asked for by the gateway is the least, spread upwards.
 */
export function delayBefore(attempt: number, backoff: Backoff, retryAfterMs = 0, random = Math.random()): number {
  const doubled = Math.min(backoff.minDelayMs * 2 ** Math.min(attempt, 30), backoff.maxDelayMs);
  return Math.max(doubled * (0.5 + random), retryAfterMs * (1 + random / 4));
}

/** A wait that can be cut short. */
export interface Pause {
  readonly over: Promise<void>;
  end(): void;
}

export function pause(delayMs: number): Pause {
  const { promise, resolve } = deferred();
  const timer = setTimeout(resolve, delayMs);
  const end = (): void => {
    clearTimeout(timer);
    resolve();
  };
  return { over: promise, end };
}
