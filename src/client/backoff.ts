import { deferred } from "./deferred.ts";

export interface BackoffOptions {
  /** Delay before the first retry. @default 500 */
  minDelayMs?: number;
  /** Max delay, unless the gateway asks for a longer one. @default 10_000 */
  maxDelayMs?: number;
}

export type Backoff = Required<BackoffOptions>;

export const defaultBackoff: Backoff = { minDelayMs: 500, maxDelayMs: 10_000 };

/**
 * Delay before retry number `attempt` (from 0): doubled each time, with jitter of ±50 %, so that clients disconnected
 * together do not reconnect together. A delay requested by the gateway is the minimum.
 */
export function delayBefore(attempt: number, backoff: Backoff, retryAfterMs = 0, random = Math.random()): number {
  const doubled = Math.min(backoff.minDelayMs * 2 ** Math.min(attempt, 30), backoff.maxDelayMs);
  return Math.max(doubled * (0.5 + random), retryAfterMs * (1 + random / 4));
}

/** A delay that can be ended early. */
export interface CancellableDelay {
  readonly done: Promise<void>;
  end(): void;
}

export function cancellableDelay(delayMs: number): CancellableDelay {
  const { promise, resolve } = deferred();
  const timer = setTimeout(resolve, delayMs);
  const end = (): void => {
    clearTimeout(timer);
    resolve();
  };
  return { done: promise, end };
}
