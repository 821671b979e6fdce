import { micro, type Outcome } from "./decision.ts";
import type { WindowRule } from "./fixed-window.ts";

/**
 * A sliding window cut into slots of a hundredth of its length.
 *
 * What it promises: in no window of `windowSeconds`, wherever it begins, does it let through more than `requests`. An
 * act counts until the whole of its slot has left the window, so a place becomes free up to a hundredth of the window
 * later than an exact log would free it, never earlier. In exchange the memory is at most 101 small numbers, whatever
 * the limit, where a log keeps one entry for each act; and acts of one microsecond cannot be taken for one.
 *
 * Refused: the usual average of two fixed windows. A burst at the end of the one and another at the end of the next
 * let almost twice the limit through.
 */
export const slotsPerWindow = 100;

/** Slots that hold something, oldest first, each by its number since the clock's zero. */
export type SlidingWindow = readonly { readonly slot: number; readonly count: number }[];

/** `sliding-window.lua` as a pure function, for a clock that does not go back. */
export function takeFromSlidingWindow(
  rule: WindowRule,
  window: SlidingWindow = [],
  now: number,
  cost: number,
): [SlidingWindow, Outcome] {
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

/** The slot with which `excess` places will have become free. */
function slotToWaitFor(window: SlidingWindow, excess: number): number | undefined {
  let freed = 0;
  return window.find(({ count }) => (freed += count) >= excess)?.slot;
}

function counted(window: SlidingWindow, slot: number, cost: number): SlidingWindow {
  const last = window.at(-1);
  if (last?.slot !== slot) return [...window, { slot, count: cost }];
  return [...window.slice(0, -1), { slot, count: last.count + cost }];
}
