import type { Clock } from "../runtime/clock.ts";
import { BoundedMap } from "../throttling/bounded-map.ts";
import { LimitRefusal } from "../commands/refusal.ts";

/**
 * Sessions whose connection was closed because it was refused too often. For a moment they are not let in again: coming
 * back at once costs a node more than all that a connection may send before it is closed.
 */
export interface SentOff {
  note(sessionId: string): void;
  /** Throws `rate_limited`. */
  check(sessionId: string): void;
}

/** Less than a stock client waits before it comes back by itself: that one meets no refusal. */
const restMs = 400;

const mostRemembered = 10_000;

export function createSentOff(clock: Clock): SentOff {
  const until = new BoundedMap<string, number>(mostRemembered);
  return {
    note: (sessionId) => until.set(sessionId, clock.monotonic() + restMs),
    check(sessionId) {
      const left = (until.get(sessionId) ?? 0) - clock.monotonic();
      if (left > 0) throw new LimitRefusal("messages", { retryAfterMs: Math.ceil(left) });
      until.delete(sessionId);
    },
  };
}
