import { micro, type LimiterOutcome } from "./rate-limit-result.ts";

/** Holds `capacity` tokens, gains `refillPerSecond`; each operation takes its cost or is refused. */
export interface TokenBucketRule {
  /** Tokens in a full bucket: the burst. */
  readonly capacity: number;
  /** Tokens gained a second: the sustained rate. */
  readonly refillPerSecond: number;
}

/** Millionths of tokens at a time in microseconds. */
export interface Bucket {
  level: number;
  at: number;
}

export const fullBucket = (rule: TokenBucketRule, now: number): Bucket => ({ level: rule.capacity * micro, at: now });

/** Millionths in the bucket at `now`. A clock that went back refills nothing. */
export function levelAt(rule: TokenBucketRule, bucket: Bucket, now: number): number {
  const gained = Math.floor(Math.max(0, now - bucket.at) * rule.refillPerSecond);
  return Math.min(rule.capacity * micro, bucket.level + gained);
}

/** The outcome of an operation of `cost` millionths; `level` is the one after it. */
export function bucketOutcome(rule: TokenBucketRule, level: number, cost: number, allowed: boolean): LimiterOutcome {
  const full = rule.capacity * micro;
  return {
    allowed,
    remaining: Math.floor(level / micro),
    retryAfter: allowed ? 0 : cost > full ? Infinity : Math.ceil((cost - level) / rule.refillPerSecond),
    resetAfter: Math.ceil((full - level) / rule.refillPerSecond),
  };
}

/** `token-bucket.lua` as a pure function: a refused operation takes nothing. `cost` in tokens. */
export function takeTokens(
  rule: TokenBucketRule,
  bucket: Bucket | undefined,
  now: number,
  cost: number,
): [Bucket, LimiterOutcome] {
  const before = bucket ?? fullBucket(rule, now);
  const price = Math.round(cost * micro);
  const level = levelAt(rule, before, now);
  if (level < price) {
    const after = before.at > now ? { level, at: now } : before;
    return [after, bucketOutcome(rule, level, price, false)];
  }
  return [{ level: level - price, at: now }, bucketOutcome(rule, level - price, price, true)];
}
