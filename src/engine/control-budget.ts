/**
 * Limits packets that are not messages, per connection: a burst and a rate. Message limits do not count them, and a client needs
 * only one in 25 seconds.
 */
const capacity = 16;
const perSecond = 1;

/** Max pongs of the WebSocket protocol queued for a client that does not read. */
const maxUnread = 16;

/** Created with the first such packet of a connection; most never send one. */
export class ControlBudget {
  #left = capacity;
  #at = 0;
  #unread = 0;

  /** False if the limit is exceeded. `now` is in monotonic milliseconds. */
  take(now: number): boolean {
    const gained = ((now - this.#at) / 1_000) * perSecond;
    this.#left = Math.min(capacity, this.#left + gained) - 1;
    this.#at = now;
    return this.#left >= 0;
  }

  /** Whether another ping is answered. */
  mayAnswer(isBlocked: boolean): boolean {
    this.#unread = isBlocked ? this.#unread + 1 : 0;
    return this.#unread <= maxUnread;
  }
}
