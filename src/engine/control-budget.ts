/**
 * Packets that are no messages: what a connection may send at once, and a second. No limit of messages sees them, and each
 * costs a little; a client has one to say in twenty-five seconds.
 */
const capacity = 16;
const perSecond = 1;

/** Answers to a WebSocket's own pings that may wait for a client that does not read. */
const maxUnread = 16;

/** Of one connection, from its first such packet on: most never need one. */
export class ControlBudget {
  #left = capacity;
  #at = 0;
  #unread = 0;

  /** False if it is too much. `now` is in monotonic milliseconds. */
  take(now: number): boolean {
    const gained = ((now - this.#at) / 1_000) * perSecond;
    this.#left = Math.min(capacity, this.#left + gained) - 1;
    this.#at = now;
    return this.#left >= 0;
  }

  /** Whether one more ping is answered. */
  mayAnswer(isBlocked: boolean): boolean {
    this.#unread = isBlocked ? this.#unread + 1 : 0;
    return this.#unread <= maxUnread;
  }
}
