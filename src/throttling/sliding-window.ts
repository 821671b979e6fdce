import { micro, type LimiterOutcome } from "./rate-limit-result.ts";
import type { WindowRule } from "./fixed-window.ts";

/**
 * A sliding window cut into slots of a hundredth of its length.
 *
 * Guarantee: no window of `windowSeconds`, wherever it begins, allows more than `requests`. An operation counts until its
 * entire slot has left the window, so capacity is freed up to a hundredth of the window later than by an exact log, never
 * earlier. In exchange it needs at most 101 small numbers whatever the limit, where a log keeps an entry per operation.
 *
 * The usual average of two fixed windows was rejected: a burst at the end of one and another at the end of the next get
 * almost twice the limit.
 */
export const slotsPerWindow = 100;

/** Non-empty slots, oldest first, each with its number since the clock's zero. */
export type SlidingWindow = readonly { readonly slot: number; readonly count: number }[];

/** `sliding-window.lua` as a pure function, for a monotonic clock. */
export function takeFromSlidingWindow(
  rule: WindowRule,
  window: SlidingWindow = [],
  now: number,
  cost: number,
): [SlidingWindow, LimiterOutcome] {
  const length = rule.windowSeconds * micro;
  const slotLength = length / slotsPerWindow;
  const oldest = Math.floor((now - length) / slotLength);
  const alive = window.filter(({ slot }) => slot >= oldest);
  const leavesAfter = (slot: number): number => Math.ceil((slot + 1) * slotLength + length - now);
  const total = alive.reduce((sum, { count }) => sum + count, 0);

  if (total + cost > rule.requests) {
    const last = alive.at(-1);
    const leaves = cost > rule.requests ? undefined : slotToWaitFor(alive, total + cost - rule.requests);
    return [
      alive,
      {
        allowed: false,
        remaining: rule.requests - total,
        retryAfter: leaves === undefined ? Infinity : leavesAfter(leaves),
        resetAfter: last === undefined ? 0 : leavesAfter(last.slot),
      },
    ];
  }
  const slot = Math.floor(now / slotLength);
  return [
    counted(alive, slot, cost),
    { allowed: true, remaining: rule.requests - total - cost, retryAfter: 0, resetAfter: leavesAfter(slot) },
  ];
}

/** The slot after whose end `excess` operations will have left the window. */
function slotToWaitFor(window: SlidingWindow, excess: number): number | undefined {
  let freed = 0;
  return window.find(({ count }) => (freed += count) >= excess)?.slot;
}

function counted(window: SlidingWindow, slot: number, cost: number): SlidingWindow {
  const last = window.at(-1);
  if (last?.slot !== slot) return [...window, { slot, count: cost }];
  return [...window.slice(0, -1), { slot, count: last.count + cost }];
}
