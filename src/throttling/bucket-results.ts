import type { Clock } from "../runtime/clock.ts";
import type { WhenStoreIsAway } from "./rate-limit-result.ts";
import type { LeasedBucket } from "./leased-bucket.ts";
import { resultOf, storeUnavailableResult, unlimitedResult, type RateLimitResult } from "./rate-limit-result.ts";
import { bucketOutcome, levelAt, type TokenBucketRule } from "./token-bucket.ts";

/** Builds the results of a leased bucket. Costs and levels in millionths of tokens. */
export class BucketResults {
  readonly #rule: TokenBucketRule;
  readonly #whenStoreIsAway: WhenStoreIsAway;
  readonly #clock: Clock;

  constructor(clock: Clock, options: { rule: TokenBucketRule; whenStoreIsAway: WhenStoreIsAway }) {
    this.#clock = clock;
    this.#rule = options.rule;
    this.#whenStoreIsAway = options.whenStoreIsAway;
  }

  /** Call after `consume`. */
  allowed(bucket: LeasedBucket): RateLimitResult {
    return resultOf(bucketOutcome(this.#rule, bucket.level, 0, true), this.#clock.now());
  }

  /** `level`: the tokens available, fewer than `cost`. */
  refused(cost: number, level: number): RateLimitResult {
    return resultOf(bucketOutcome(this.#rule, Math.max(0, level), cost, false), this.#clock.now());
  }

  /** For the time without Redis; in `local` mode it consumes from this node's copy of the bucket. */
  withoutStore(bucket: LeasedBucket, cost: number, now: number): RateLimitResult {
    if (this.#whenStoreIsAway === "open") return unlimitedResult(this.#clock.now(), this.#rule.capacity);
    if (this.#whenStoreIsAway === "closed") return storeUnavailableResult(this.#clock.now());
    const level = levelAt(this.#rule, bucket, now);
    if (level < cost) return this.refused(cost, level);
    consume(bucket, level, cost, now);
    return this.allowed(bucket);
  }
}

/** Consumes `cost` from this node's copy of the bucket, whose level at `now` is `level`. */
export function consume(bucket: LeasedBucket, level: number, cost: number, now: number): void {
  bucket.level = level - cost;
  bucket.at = now;
  bucket.consumed += cost;
}
