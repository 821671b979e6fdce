import type { Clock } from "../runtime/clock.ts";

/** The time in which a node may handle what it read. */
export interface LeaderLease {
  /** False once it may have ended: nothing new may be begun then, the next node does it. */
  isCurrent(): boolean;
  /** Aborts when the turn has ended. */
  readonly ended: AbortSignal;
}

/** A turn that lasts as long as a lease, as far as its holder can know. */
export class RenewableLeaderLease implements LeaderLease {
  readonly #clock: Clock;
  readonly #end = new AbortController();
  /** Monotonic milliseconds at which the lease may have ended. */
  #until: number;

  constructor(clock: Clock, until: number) {
    this.#clock = clock;
    this.#until = until;
  }

  /** Once it has lapsed it stays so, though the lease be renewed: some of it was let go of, and must be read again. */
  isCurrent(): boolean {
    if (this.#clock.monotonic() >= this.#until) this.#end.abort();
    return !this.#end.signal.aborted;
  }

  extend(until: number): void {
    if (this.isCurrent()) this.#until = Math.max(this.#until, until);
  }

  get ended(): AbortSignal {
    return this.#end.signal;
  }

  end(): void {
    this.#end.abort();
  }
}
