import { BoundedMap } from "../runtime/bounded-map.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";

/** Max subscriptions to remember. */
const maxRemembered = 100_000;
/** Longer than a node takes to hear of a command. */
const slackMs = 5_000;

/**
 * Subscriptions of users that backends have ended lately. A client that was away at that time still has them in its record, and
 * would get them back by recovering. Every node remembers them, so that no recovery has to ask Redis.
 */
export class EndedSubscriptions {
  readonly #clock: Clock;
  readonly #lifeMs: number;
  /** When each may be forgotten, in monotonic milliseconds. */
  readonly #until: BoundedMap<string, number>;
  /** Until then, one that was dropped would count. */
  #isIncompleteUntil = Number.NEGATIVE_INFINITY;

  /** `recoverableMs`: how long a client may be away and recover. */
  constructor({ clock, log }: { clock: Clock; log: Logger }, recoverableMs: number, max = maxRemembered) {
    this.#clock = clock;
    this.#lifeMs = recoverableMs + slackMs;
    const warn = createPacedWarnings(log, { everyMs: 60_000 });
    this.#until = new BoundedMap(max, (until) => {
      if (until <= clock.monotonic()) return;
      this.#isIncompleteUntil = Math.max(this.#isIncompleteUntil, until);
      warn({ max }, "backends have ended more subscriptions than are remembered; no client is recovered for a while");
    });
  }

  get lifeMs(): number {
    return this.#lifeMs;
  }

  add(userId: string, channel: string, ageMs = 0): void {
    const key = keyOf(userId, channel);
    // The last one added is dropped last.
    this.#until.delete(key);
    this.#until.set(key, this.#clock.monotonic() + this.#lifeMs - ageMs);
  }

  /** A backend has subscribed the user again. */
  delete(userId: string, channel: string): void {
    this.#until.delete(keyOf(userId, channel));
  }

  /** Also true if there were too many to tell. */
  hasAny(userId: string, channels: Iterable<string>): boolean {
    const now = this.#clock.monotonic();
    const isEnded = (channel: string): boolean => (this.#until.get(keyOf(userId, channel)) ?? 0) > now;
    const all = [...channels];
    return all.some(isEnded) || (all.length > 0 && this.#isIncompleteUntil > now);
  }
}

const keyOf = (userId: string, channel: string): string => JSON.stringify([userId, channel]);
