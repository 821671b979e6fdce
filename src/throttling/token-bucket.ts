import { micro, type Outcome } from "./decision.ts";

/** Holds `capacity` tokens, gains `refillPerSecond`; each act takes its cost or is refused. */
export interface TokenBucketRule {
  /** Tokens a full bucket holds: the burst. */
  readonly capacity: number;
  /** Tokens gained a second: the sustained rate. */
  readonly refillPerSecond: number;
}

/** Millionths of tokens at a moment in microseconds. */
export interface Bucket {
  level: number;
  at: number;
}

export const fullBucket = (rule: TokenBucketRule, now: number): Bucket => ({ level: rule.capacity * micro, at: now });

/** Millionths in the bucket at `now`. A clock that went back adds nothing. */
export function levelAt(rule: TokenBucketRule, bucket: Bucket, now: number): number {
  const gained = Math.floor(Math.max(0, now - bucket.at) * rule.refillPerSecond);
  return Math.min(rule.capacity * micro, bucket.level + gained);
}

/** What a bucket that stands at `level` answers to an act of `cost` millionths; the level is the one after taking. */
export function bucketOutcome(rule: TokenBucketRule, level: number, cost: number, allowed: boolean): Outcome {
  const full = rule.capacity * micro;
  return {
    allowed,
    remaining: Math.floor(level / micro),
    retryAfter: allowed ? 0 : cost > full ? Infinity : Math.ceil((cost - level) / rule.refillPerSecond),
    resetAfter: Math.ceil((full - level) / rule.refillPerSecond),
  };
}

/** `token-bucket.lua` as a pure function: a refused act takes nothing. `cost` in tokens. */
export function takeTokens(
  rule: TokenBucketRule,
  bucket: Bucket | undefined,
  now: number,
  cost: number,
): [Bucket, Outcome] {
  const before = bucket ?? fullBucket(rule, now);
  const price = Math.round(cost * micro);
  const level = levelAt(rule, before, now);
  if (level < price) {
    const after = before.at > now ? { level, at: now } : before;
    return [after, bucketOutcome(rule, level, price, false)];
  }
  return [{ level: level - price, at: now }, bucketOutcome(rule, level - price, price, true)];
}
