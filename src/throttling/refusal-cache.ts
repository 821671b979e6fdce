import type { Clock } from "../runtime/clock.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { RateLimitResult } from "./rate-limit-result.ts";

/** Max cached refusals; evicted ones are decided by Redis again. */
const maxRefusals = 10_000;

interface Refusal {
  readonly cost: number;
  readonly result: RateLimitResult;
  /** Monotonic milliseconds. */
  readonly endsAt: number;
}

/**
 * A refusal says when the same operation may be allowed; until then Redis would only repeat it. A node that caches it
 * answers by itself, so a client that keeps retrying causes no load on Redis.
 */
export class RefusalCache {
  readonly #clock: Clock;
  readonly #refusals = new BoundedMap<string, Refusal>(maxRefusals);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(subject: string, cost: number, result: RateLimitResult): void {
    if (result.reason !== "limit") return;
    this.#refusals.set(subject, { cost, result, endsAt: this.#clock.monotonic() + result.retryAfterMs });
  }

  forget(subject: string): void {
    this.#refusals.delete(subject);
  }

  get(subject: string, cost: number): RateLimitResult | undefined {
    const refusal = this.#refusals.get(subject);
    if (refusal === undefined) return undefined;
    const left = Math.ceil(refusal.endsAt - this.#clock.monotonic());
    if (left <= 0) this.#refusals.delete(subject);
    return left > 0 && cost >= refusal.cost ? { ...refusal.result, retryAfterMs: left } : undefined;
  }
}
