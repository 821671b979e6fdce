import type { Clock } from "../runtime/clock.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import { LimitRefusal } from "../commands/refusal.ts";

/**
 * Sessions whose connection was closed because it was refused too often are refused for a moment: an immediate reconnect
 * costs a node more than everything that a connection may send before it is closed.
 */
export interface ReconnectCooldown {
  start(sessionId: string): void;
  /** Throws `rate_limited`. */
  check(sessionId: string): void;
}

/** Shorter than the delay of a stock client before it reconnects, so a stock client is not refused. */
const cooldownMs = 400;

const maxRemembered = 10_000;

export function createReconnectCooldown(clock: Clock): ReconnectCooldown {
  const until = new BoundedMap<string, number>(maxRemembered);
  return {
    start: (sessionId) => until.set(sessionId, clock.monotonic() + cooldownMs),
    check(sessionId) {
      const left = (until.get(sessionId) ?? 0) - clock.monotonic();
      if (left > 0) throw new LimitRefusal("messages", { retryAfterMs: Math.ceil(left) });
      until.delete(sessionId);
    },
  };
}
