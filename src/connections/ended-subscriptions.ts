import { compareCommands } from "../cluster/control.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";

/** Max subscriptions to remember. */
const maxRemembered = 100_000;
/** Longer than a node takes to hear of a command. */
const slackMs = 5_000;

interface EndedSubscription {
  /** Of the control command that ended it. */
  id: string;
  /** When it may be forgotten, in monotonic milliseconds. */
  until: number;
}

/**
 * Subscriptions of users that backends have ended lately. A client that was away at that time still has them in its record, and
 * would get them back by recovering. Every node remembers them, so that no recovery has to ask Redis.
 */
export class EndedSubscriptions {
  readonly #clock: Clock;
  readonly #lifeMs: number;
  readonly #ended: BoundedMap<string, EndedSubscription>;
  /** Until then, one that was dropped would count. */
  #isIncompleteUntil = Number.NEGATIVE_INFINITY;

  /** `recoverableMs`: how long a client may be away and recover. */
  constructor({ clock, log }: { clock: Clock; log: Logger }, recoverableMs: number, max = maxRemembered) {
    this.#clock = clock;
    this.#lifeMs = recoverableMs + slackMs;
    const warn = createPacedWarnings(log, { everyMs: 60_000 });
    this.#ended = new BoundedMap(max, ({ until }) => {
      if (until <= clock.monotonic()) return;
      this.#isIncompleteUntil = Math.max(this.#isIncompleteUntil, until);
      warn({ max }, "backends have ended more subscriptions than are remembered; no client is recovered for a while");
    });
  }

  get lifeMs(): number {
    return this.#lifeMs;
  }

  /** `id`: of the control command that ended it, `ageMs` ago. */
  add({ userId, channel }: UserChannel, { id, ageMs = 0 }: { id: string; ageMs?: number }): void {
    const key = keyOf(userId, channel);
    // The last one added is dropped last.
    this.#ended.delete(key);
    this.#ended.set(key, { id, until: this.#clock.monotonic() + this.#lifeMs - ageMs });
  }

  /**
   * Whether any of a user's recorded subscriptions has ended since it was recorded. `asOf`: the last control command that the
   * record takes into account, empty if that is unknown. Also true if there were too many to tell.
   */
  hasAny(userId: string, channels: Iterable<string>, asOf: string): boolean {
    const now = this.#clock.monotonic();
    const isEnded = (channel: string): boolean => {
      const { id, until } = this.#ended.get(keyOf(userId, channel)) ?? { id: "", until: now };
      return until > now && (asOf === "" || compareCommands(id, asOf) > 0);
    };
    const all = [...channels];
    return all.some(isEnded) || (all.length > 0 && this.#isIncompleteUntil > now);
  }
}

interface UserChannel {
  userId: string;
  channel: string;
}

const keyOf = (userId: string, channel: string): string => JSON.stringify([userId, channel]);
