import type { Cancel, Clock } from "./clock.ts";

/** Larger corrections are no drift. */
const stepMs = 2_000;

/** What to tell an operator of a correction; undefined if it is drift. A suspended machine looks like a clock set forward. */
export function clockStepIn(correctionMs: number): string | undefined {
  if (Math.abs(correctionMs) < stepMs) return undefined;
  return correctionMs < 0
    ? "the clock of Redis was set back: tokens issued before that are refused until it shows their time again"
    : "the clock of Redis was set forward, or this machine was suspended: leases, sessions and tokens may have ended early";
}

/**
 * A clock synchronized with another, such as Redis' clock, so that all nodes agree regardless of their own. Between two
 * measurements it runs on the monotonic clock: setting the machine's clock does not affect it. Until the first measurement
 * it returns the machine's time.
 */
export class SyncedClock implements Clock {
  readonly #own: Clock;
  /** The other clock's epoch milliseconds minus our monotonic ones. */
  #offset: number | undefined;

  constructor(own: Clock) {
    this.#own = own;
  }

  now(): number {
    return this.#offset === undefined ? this.#own.now() : Math.floor(this.#own.monotonic() + this.#offset);
  }

  /**
   * Call with a reading of the other clock: it showed `time` (whole milliseconds) between `sentAt` and `receivedAt`
   * (monotonic). The offset changes only as far as the reading proves it wrong, so fast round trips increase the accuracy
   * and slow ones change nothing; if the other clock was set, it is followed immediately. Returns by how many milliseconds
   * it was corrected.
   */
  measured(time: number, sentAt: number, receivedAt: number): number {
    const [min, max] = [time - receivedAt, time + 1 - sentAt];
    const before = this.#offset ?? (min + max) / 2;
    this.#offset = Math.min(Math.max(before, min), max);
    return this.#offset - before;
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
