import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Absence, WhenStoreIsAway } from "./absence.ts";
import { BoundedMap } from "./bounded-map.ts";
import { decisionOf, micro, monotonicMicros, refusedWithoutStore, uncounted } from "./decision.ts";
import type { Decision, Outcome } from "./decision.ts";
import { takeFromFixedWindow, type FixedWindow, type WindowRule } from "./fixed-window.ts";
import { RefusalMemory } from "./refusal-memory.ts";
import { slotsPerWindow, takeFromSlidingWindow, type SlidingWindow } from "./sliding-window.ts";
import { takeTokens, type Bucket, type TokenBucketRule } from "./token-bucket.ts";

/**
 * One rule, applied to each subject (an address, a key, a channel) by itself, counted in the store by one script on the
 * store's clock: exact however many nodes take at once and whatever their clocks say. All or nothing: a refused act
 * takes no part of its cost and leaves no trace.
 */
export interface Limiter {
  /** `cost` in whole acts; tokens may have fractions. @default 1 */
  take(subject: string, cost?: number): Promise<Decision>;
}

/** A limiter whose acts may turn out to have been none. */
export interface RefundingLimiter extends Limiter {
  /** Puts back what an act took, up to a full bucket. Never rejects: while the store is away nothing is put back. */
  giveBack(subject: string): Promise<void>;
}

export interface LimiterDependencies {
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  absence: Absence;
}

export interface LimiterOptions<Rule> {
  /** Part of the key: two limiters of one name share their counts. */
  name: string;
  rule: Rule;
  whenStoreIsAway: WhenStoreIsAway;
}

/** A rule twice: as a script for the store, and as a pure function for the time the store is away. */
export interface Algorithm<Rule, State> {
  readonly script: URL;
  /** Acts of cost 1 a whole limit lets through. */
  size(rule: Rule): number;
  args(rule: Rule, cost: number): readonly number[];
  take(rule: Rule, state: State | undefined, now: number, cost: number): [State | undefined, Outcome];
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

/** Subjects a node counts by itself while the store is away; where there are more, the oldest begin anew. */
const subjectsWithoutStore = 10_000;

export function createLimiter<Rule, State>(
  { commands, keys, clock, absence }: LimiterDependencies,
  algorithm: Algorithm<Rule, State>,
  { name, rule, whenStoreIsAway }: LimiterOptions<Rule>,
): Limiter {
  const script = loadScript(commands, algorithm.script);
  const states = new BoundedMap<string, State>(subjectsWithoutStore);
  const refusals = new RefusalMemory(clock);

  function takeWithoutStore(subject: string, cost: number): Decision {
    if (whenStoreIsAway === "open") return uncounted(clock.now(), algorithm.size(rule));
    if (whenStoreIsAway === "closed") return refusedWithoutStore(clock.now());
    const [state, outcome] = algorithm.take(rule, states.get(subject), monotonicMicros(clock), cost);
    if (state !== undefined) states.set(subject, state);
    return decisionOf(outcome, clock.now());
  }

  async function takeFromStore(subject: string, cost: number): Promise<Decision> {
    const reply = await script.run([keys.limiter(name, subject)], algorithm.args(rule, cost));
    const decision = readReply(reply);
    refusals.note(subject, cost, decision);
    return decision;
  }

  return {
    async take(subject, cost = 1) {
      const known = refusals.recall(subject, cost);
      if (known !== undefined) return known;
      if (!absence.mayAsk()) return takeWithoutStore(subject, cost);
      try {
        const decision = await takeFromStore(subject, cost);
        absence.ended();
        return decision;
      } catch (error) {
        absence.began(error);
        return takeWithoutStore(subject, cost);
      }
    },
  };
}

export function createBucketLimiter(
  dependencies: LimiterDependencies,
  options: LimiterOptions<TokenBucketRule>,
): RefundingLimiter {
  const { commands, keys, absence } = dependencies;
  const script = loadScript(commands, tokenBucket.script);
  return {
    ...createLimiter(dependencies, tokenBucket, options),
    async giveBack(subject) {
      if (!absence.mayAsk()) return;
      try {
        await script.run([keys.limiter(options.name, subject)], tokenBucket.args(options.rule, -1));
      } catch (error) {
        absence.began(error);
      }
    },
  };
}

/** All scripts answer alike: { allowed, remaining, retry after (-1 never), reset after, store's clock }. */
function readReply(reply: ScriptReply): Decision {
  const [allowed, remaining, retryAfter, resetAfter, now] = reply as [number, number, number, number, number];
  return decisionOf(
    { allowed: allowed === 1, remaining, retryAfter: retryAfter === -1 ? Infinity : retryAfter, resetAfter },
    Math.floor(now / 1_000),
  );
}
