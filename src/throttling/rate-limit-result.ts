import type { Clock } from "../runtime/clock.ts";

/**
 * Limits count in whole millionths of tokens and of seconds. A rule of `refillPerSecond` tokens then refills that many
 * millionths of a token per microsecond: integers, which neither round nor drift.
 */
export const micro = 1_000_000;

/** Monotonic microseconds, for durations. */
export const monotonicMicros = (clock: Clock): number => Math.floor(clock.monotonic() * 1_000);

/** Why a limiter refused: over the limit; more than the limit ever allows; Redis is unreachable. */
export type RefusalReason = "limit" | "never" | "store_away";

/** A limiter's result. A refusal is a value, never an exception. */
export interface RateLimitResult {
  readonly allowed: boolean;
  /** Operations of cost 1 that would be allowed now. */
  readonly remaining: number;
  /** 0 if allowed, else after how long the same operation may be; Infinity: never, it costs more than the limit holds. */
  readonly retryAfterMs: number;
  /** Epoch milliseconds at which the limit is fully available again if nothing more is taken. */
  readonly resetAt: number;
  /** Set if refused. */
  readonly reason: RefusalReason | undefined;
}

/** A result without absolute times, as returned by the pure functions and the scripts. Durations in microseconds. */
export interface LimiterOutcome {
  readonly allowed: boolean;
  readonly remaining: number;
  /** 0 if allowed; Infinity: never. */
  readonly retryAfter: number;
  readonly resetAfter: number;
}

export function resultOf(outcome: LimiterOutcome, nowMs: number): RateLimitResult {
  const { allowed, remaining, retryAfter, resetAfter } = outcome;
  return {
    allowed,
    remaining,
    retryAfterMs: Math.ceil(retryAfter / 1_000),
    resetAt: Math.ceil(nowMs + resetAfter / 1_000),
    reason: allowed ? undefined : retryAfter === Infinity ? "never" : "limit",
  };
}

/** Allowed without counting; `size` is what the full limit would allow. */
export const unlimitedResult = (nowMs: number, size: number): RateLimitResult => ({
  allowed: true,
  remaining: size,
  retryAfterMs: 0,
  resetAt: nowMs,
  reason: undefined,
});

/** Refused because nothing can be counted while Redis is unreachable. */
export const storeUnavailableResult = (nowMs: number): RateLimitResult => ({
  allowed: false,
  remaining: 0,
  retryAfterMs: 1_000,
  resetAt: nowMs + 1_000,
  reason: "store_away",
});

/** Behaviour of a limiter while Redis is unreachable: allow everything, nothing, or count on this node alone. */
export type WhenStoreIsAway = "open" | "closed" | "local";
