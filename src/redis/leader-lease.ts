import type { Clock } from "../runtime/clock.ts";

/** The time during which a node, as the leader of a consumer group, may process the entries it read. */
export interface LeaderLease {
  /** False once the lease may have expired: no entry may be started then, the next leader reads it. */
  isCurrent(): boolean;
  /** Aborts when the lease has ended. */
  readonly ended: AbortSignal;
}

/** The holder's view of its lease in Redis, on the monotonic clock. */
export class RenewableLeaderLease implements LeaderLease {
  readonly #clock: Clock;
  readonly #end = new AbortController();
  /** Monotonic milliseconds at which the lease may have expired. */
  #until: number;

  constructor(clock: Clock, until: number) {
    this.#clock = clock;
    this.#until = until;
  }

  /** An expired lease stays expired even if Redis renewed it: skipped entries must be read again. */
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
