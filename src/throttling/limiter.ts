import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import type { CircuitBreaker } from "../redis/circuit-breaker.ts";
import {
  resultOf,
  micro,
  monotonicMicros,
  storeUnavailableResult,
  unlimitedResult,
  type WhenStoreIsAway,
  type RateLimitResult,
  type LimiterOutcome,
} from "./rate-limit-result.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import { takeFromFixedWindow, type FixedWindow, type WindowRule } from "./fixed-window.ts";
import { slotsPerWindow, takeFromSlidingWindow, type SlidingWindow } from "./sliding-window.ts";
import { takeTokens, type Bucket, type TokenBucketRule } from "./token-bucket.ts";

/**
 * One rule, applied to each subject (an address, a key, a channel) separately, counted in Redis by one script on Redis'
 * clock: exact regardless of the number of nodes and their clocks. All or nothing: a refused operation takes no part of
 * its cost and leaves no trace.
 */
export interface Limiter {
  /** `cost` in whole operations; token buckets allow fractions. @default 1 */
  take(subject: string, cost?: number): Promise<RateLimitResult>;
  /** Forgets what this node knows of the subject by itself: the next operation asks Redis. */
  forget(subject: string): void;
}

/** A limiter that can take back a cost. */
export interface RefundingLimiter extends Limiter {
  /** Refunds one operation, up to a full bucket. Never rejects; does nothing while Redis is unreachable. */
  refund(subject: string): Promise<void>;
}

export interface LimiterDependencies {
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  breaker: CircuitBreaker;
}

export interface LimiterOptions<Rule> {
  /** Part of the key: limiters with the same name share their counts. */
  name: string;
  rule: Rule;
  whenStoreIsAway: WhenStoreIsAway;
}

/** A rule as a script for Redis, and as a pure function for outages of Redis. */
export interface Algorithm<Rule, State> {
  readonly script: URL;
  /** Operations of cost 1 that the full limit allows. */
  size(rule: Rule): number;
  args(rule: Rule, cost: number): readonly number[];
  take(rule: Rule, state: State | undefined, now: number, cost: number): [State | undefined, LimiterOutcome];
}

export const tokenBucket: Algorithm<TokenBucketRule, Bucket> = {
  script: new URL("./token-bucket.lua", import.meta.url),
  size: (rule) => rule.capacity,
  args: (rule, cost) => [rule.capacity * micro, rule.refillPerSecond, Math.round(cost * micro)],
  take: takeTokens,
};

export const slidingWindow: Algorithm<WindowRule, SlidingWindow> = {
  script: new URL("./sliding-window.lua", import.meta.url),
  size: (rule) => rule.requests,
  args: (rule, cost) => [rule.requests, rule.windowSeconds * micro, slotsPerWindow, cost],
  take: takeFromSlidingWindow,
};

export const fixedWindow: Algorithm<WindowRule, FixedWindow> = {
  script: new URL("./fixed-window.lua", import.meta.url),
  size: (rule) => rule.requests,
  args: (rule, cost) => [rule.requests, rule.windowSeconds * micro, cost],
  take: takeFromFixedWindow,
};

/** Max subjects a node counts by itself while Redis is unreachable; beyond it, the oldest are reset. */
const maxLocalSubjects = 10_000;

export function createLimiter<Rule, State>(
  { commands, keys, clock, breaker }: LimiterDependencies,
  algorithm: Algorithm<Rule, State>,
  { name, rule, whenStoreIsAway }: LimiterOptions<Rule>,
): Limiter {
  const script = loadScript(commands, algorithm.script);
  const states = new BoundedMap<string, State>(maxLocalSubjects);
  const refusals = new RefusalCache(clock);

  function takeWithoutStore(subject: string, cost: number): RateLimitResult {
    if (whenStoreIsAway === "open") return unlimitedResult(clock.now(), algorithm.size(rule));
    if (whenStoreIsAway === "closed") return storeUnavailableResult(clock.now());
    const [state, outcome] = algorithm.take(rule, states.get(subject), monotonicMicros(clock), cost);
    if (state !== undefined) states.set(subject, state);
    return resultOf(outcome, clock.now());
  }

  async function takeFromStore(subject: string, cost: number): Promise<RateLimitResult> {
    const reply = await script.run([keys.limiter(name, subject)], algorithm.args(rule, cost));
    const result = readReply(reply);
    refusals.add(subject, cost, result);
    return result;
  }

  return {
    forget(subject) {
      states.delete(subject);
      refusals.forget(subject);
    },
    async take(subject, cost = 1) {
      const known = refusals.get(subject, cost);
      if (known !== undefined) return known;
      if (!breaker.allowRequest()) return takeWithoutStore(subject, cost);
      try {
        const result = await takeFromStore(subject, cost);
        breaker.recordSuccess();
        return result;
      } catch (error) {
        breaker.recordFailure(error);
        return takeWithoutStore(subject, cost);
      }
    },
  };
}

export function createBucketLimiter(
  dependencies: LimiterDependencies,
  options: LimiterOptions<TokenBucketRule>,
): RefundingLimiter {
  const { commands, keys, breaker } = dependencies;
  const script = loadScript(commands, tokenBucket.script);
  return {
    ...createLimiter(dependencies, tokenBucket, options),
    async refund(subject) {
      if (!breaker.allowRequest()) return;
      try {
        await script.run([keys.limiter(options.name, subject)], tokenBucket.args(options.rule, -1));
      } catch (error) {
        breaker.recordFailure(error);
      }
    },
  };
}

/** All scripts reply with { allowed, remaining, retry after (-1 never), reset after, Redis' clock }. */
function readReply(reply: ScriptReply): RateLimitResult {
  const [allowed, remaining, retryAfter, resetAfter, now] = reply as [number, number, number, number, number];
  return resultOf(
    { allowed: allowed === 1, remaining, retryAfter: retryAfter === -1 ? Infinity : retryAfter, resetAfter },
    Math.floor(now / 1_000),
  );
}

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
class RefusalCache {
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
