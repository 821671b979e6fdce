import { describe, expect, test } from "vitest";
import { micro, type LimiterOutcome } from "../../src/throttling/rate-limit-result.ts";
import { takeFromFixedWindow } from "../../src/throttling/fixed-window.ts";
import { slotsPerWindow, takeFromSlidingWindow, type SlidingWindow } from "../../src/throttling/sliding-window.ts";
import { takeTokens } from "../../src/throttling/token-bucket.ts";
import { seeded } from "../support/random.ts";

const second = micro;

describe("token bucket", () => {
  const rule = { capacity: 3, refillPerSecond: 2 };

  test("allows the capacity at once, then the refill rate", () => {
    const taken = run(takeTokens, rule, [
      [0, 1],
      [0, 2],
      [0, 1],
      [0.5 * second, 1],
      [0.5 * second, 1],
    ]);

    expect(taken.map(({ allowed }) => allowed)).toEqual([true, true, false, true, false]);
    expect(taken[2]).toMatchObject({ remaining: 0, retryAfter: 0.5 * second, resetAfter: 1.5 * second });
  });

  test("a refused operation takes nothing, however often it is repeated", () => {
    const taken = run(takeTokens, rule, [[0, 3], ...repeat(100, 0.2 * second, 1), [0.5 * second, 1]]);

    expect(taken.slice(1, 101).every(({ allowed }) => !allowed)).toBe(true);
    expect(taken.at(-1)?.allowed).toBe(true);
  });

  test("an operation that costs more than the capacity is never allowed", () => {
    expect(run(takeTokens, rule, [[0, 4]])[0]).toMatchObject({ allowed: false, retryAfter: Infinity });
  });

  test("refills nothing if the clock goes back, and continues from there", () => {
    const taken = run(takeTokens, rule, [
      [600 * second, 3],
      [0, 1],
      [0.5 * second, 1],
    ]);

    expect(taken.map(({ allowed }) => allowed)).toEqual([true, false, true]);
  });

  test("does not drift over a million operations", () => {
    const fine = { capacity: 7, refillPerSecond: 3 };
    let bucket = takeTokens(fine, undefined, 0, 7)[0];
    let allowed = 0;
    for (let now = 0; now <= 1_000_000 * 1_000; now += 1_000) {
      const [next, outcome] = takeTokens(fine, bucket, now, 1);
      bucket = next;
      allowed += outcome.allowed ? 1 : 0;
    }

    expect(allowed).toBe(3_000);
  });
});

describe("fixed window", () => {
  const rule = { requests: 5, windowSeconds: 900 };

  test("opens with the first operation, ends a window later, and refusals do not extend it", () => {
    const taken = run(takeFromFixedWindow, rule, [...repeat(5, 100 * second, 1), ...repeat(50, 800 * second, 1)]);
    const later = run(takeFromFixedWindow, rule, [...repeat(5, 100 * second, 1), [1_000 * second, 1]]);

    expect(taken.filter(({ allowed }) => allowed)).toHaveLength(5);
    expect(taken.at(-1)).toMatchObject({ remaining: 0, retryAfter: 200 * second });
    expect(later.at(-1)).toMatchObject({ allowed: true, remaining: 4 });
  });
});

describe("sliding window", () => {
  test("no window, wherever it begins, exceeds the limit; capacity is freed at most a slot late", () => {
    const rule = { requests: 20, windowSeconds: 10 };
    const random = seeded(4);
    const passed: number[] = [];
    let window: SlidingWindow = [];
    let now = 0;
    for (let act = 0; act < 5_000; act++) {
      now += Math.floor(random() ** 3 * second);
      const cost = 1 + Math.floor(random() * 3);
      const [next, { allowed }] = takeFromSlidingWindow(rule, window, now, cost);
      window = next;
      const slot = (10 * second) / slotsPerWindow;
      const within = (length: number): number => passed.filter((at) => at > now - length).length;
      if (allowed) expect(within(10 * second) + cost).toBeLessThanOrEqual(20);
      else expect(within(10 * second + slot) + cost).toBeGreaterThan(20);
      if (allowed) passed.push(...Array.from({ length: cost }, () => now));
      expect(window.length).toBeLessThanOrEqual(slotsPerWindow + 1);
    }
  });

  test("retrying after `retryAfter` succeeds, and one microsecond earlier does not", () => {
    const rule = { requests: 5, windowSeconds: 1 };
    const full = fill(rule, [0, 120_000, 120_000, 333_333, 999_999]);
    const refusal = takeFromSlidingWindow(rule, full, 1_000_000, 3)[1];

    const at = 1_000_000 + refusal.retryAfter;
    expect(refusal.allowed).toBe(false);
    expect(takeFromSlidingWindow(rule, full, at - 1, 3)[1].allowed).toBe(false);
    expect(takeFromSlidingWindow(rule, full, at, 3)[1].allowed).toBe(true);
  });
});

type Take<Rule, State> = (
  rule: Rule,
  state: State | undefined,
  now: number,
  cost: number,
) => [State | undefined, LimiterOutcome];

function run<Rule, State>(take: Take<Rule, State>, rule: Rule, acts: [now: number, cost: number][]): LimiterOutcome[] {
  let state: State | undefined;
  return acts.map(([now, cost]) => {
    const [next, outcome] = take(rule, state, now, cost);
    state = next;
    return outcome;
  });
}

const repeat = (times: number, now: number, cost: number): [number, number][] =>
  Array.from({ length: times }, () => [now, cost]);

const fill = (rule: { requests: number; windowSeconds: number }, times: number[]): SlidingWindow =>
  times.reduce<SlidingWindow>((window, now) => takeFromSlidingWindow(rule, window, now, 1)[0], []);
