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
 * together do not reconnect together. A delay requested by the gateway in `error` is the minimum.
 */
export function delayBefore(attempt: number, { minDelayMs, maxDelayMs }: Backoff, error?: unknown): number {
  const { retryAfterMs = 0 } = Object(error) as { retryAfterMs?: number };
  const random = Math.random();
  const doubled = Math.min(minDelayMs * 2 ** Math.min(attempt, 30), maxDelayMs);
  return Math.max(doubled * (0.5 + random), retryAfterMs * (1 + random / 4));
}

/** A delay that can be ended early. */
export interface CancellableDelay {
  readonly done: Promise<void>;
  end(): void;
}

/** Waits as long as `delayBefore` says. */
export function retryDelay(attempt: number, backoff: Backoff, error?: unknown): CancellableDelay {
  const { promise, resolve } = deferred();
  const timer = setTimeout(resolve, delayBefore(attempt, backoff, error));
  const end = (): void => {
    clearTimeout(timer);
    resolve();
  };
  return { done: promise, end };
}
