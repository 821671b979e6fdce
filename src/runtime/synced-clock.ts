import type { Cancel, Clock } from "./clock.ts";

/**
 * A clock that tells another's time, such as the store's, so that all who go by that one agree, however far apart their own
 * are. Between two measurements it runs on the monotonic clock: setting the machine's clock does not move it. Until the
 * first it tells the machine's time.
 */
export class SyncedClock implements Clock {
  readonly #own: Clock;
  /** The other's epoch milliseconds less our monotonic ones. */
  #offset: number | undefined;

  constructor(own: Clock) {
    this.#own = own;
  }

  now(): number {
    return this.#offset === undefined ? this.#own.now() : Math.floor(this.#own.monotonic() + this.#offset);
  }

  /**
   * The other's clock showed `time` (whole milliseconds) at some moment from `sentAt` to `receivedAt` (monotonic). Moves
   * only as far as this proves it wrong, so a slow round trip says little and quick ones narrow it down; a clock that was
   * set is followed at once.
   */
  measured(time: number, sentAt: number, receivedAt: number): void {
    const [least, most] = [time - receivedAt, time + 1 - sentAt];
    this.#offset = Math.min(Math.max(this.#offset ?? (least + most) / 2, least), most);
  }

  monotonic(): number {
    return this.#own.monotonic();
  }

  after(delayMs: number, run: () => void): Cancel {
    return this.#own.after(delayMs, run);
  }

  every(periodMs: number, run: () => void): Cancel {
    return this.#own.every(periodMs, run);
  }
}
