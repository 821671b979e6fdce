import type { Clock } from "../runtime/clock.ts";

/**
 * Limits count in whole millionths, of a token as of a second. A rule of `refillPerSecond` tokens then gives that many
 * millionths of a token each microsecond: whole numbers, which neither round nor drift however often they are added.
 */
export const micro = 1_000_000;

/** Microseconds that never jump: what a node measures durations with. */
export const monotonicMicros = (clock: Clock): number => Math.floor(clock.monotonic() * 1_000);

/** Why a limiter refused: too much was asked; more than the limit ever holds; nobody can tell while the store is away. */
export type RefusalReason = "limit" | "never" | "store_away";

/** A limiter's answer. A refusal is a value, never an exception. */
export interface Decision {
  readonly allowed: boolean;
  /** Acts of cost 1 that would be let through at this moment. */
  readonly remaining: number;
  /** 0 where allowed, else when the same act may pass; Infinity: never, it costs more than the limit holds. */
  readonly retryAfterMs: number;
  /** Epoch milliseconds at which the limit is whole again if nothing more is taken. */
  readonly resetAt: number;
  /** Set where refused. */
  readonly reason: RefusalReason | undefined;
}

/** A decision before it meets a clock: what the pure rules and the scripts answer. Durations in microseconds. */
export interface Outcome {
  readonly allowed: boolean;
  readonly remaining: number;
  /** 0 where allowed; Infinity: never. */
  readonly retryAfter: number;
  readonly resetAfter: number;
}

export function decisionOf(outcome: Outcome, nowMs: number): Decision {
  const { allowed, remaining, retryAfter, resetAfter } = outcome;
  return {
    allowed,
    remaining,
    retryAfterMs: Math.ceil(retryAfter / 1_000),
    resetAt: Math.ceil(nowMs + resetAfter / 1_000),
    reason: allowed ? undefined : retryAfter === Infinity ? "never" : "limit",
  };
}

/** Let through without counting; `size` is what the whole limit would let through. */
export const uncounted = (nowMs: number, size: number): Decision => ({
  allowed: true,
  remaining: size,
  retryAfterMs: 0,
  resetAt: nowMs,
  reason: undefined,
});

/** Refused because nobody can count while the store is away. */
export const refusedWithoutStore = (nowMs: number): Decision => ({
  allowed: false,
  remaining: 0,
  retryAfterMs: 1_000,
  resetAt: nowMs + 1_000,
  reason: "store_away",
});
