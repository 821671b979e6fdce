import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { LeaseStore } from "./lease-store.ts";

/**
 * A name held for a time, and renewed by itself.
 *
 * What it promises: while `isHeld()` is true, nobody else holds the name. It measures by a clock that never jumps, from
 * before it asked, and stops believing a tenth of the TTL before the store forgets, so that a process which was frozen
 * knows before it acts. What it cannot promise: that time does not pass between asking `isHeld()` and what is done upon
 * it, nor that a machine suspended as a whole notices. Whoever writes what must not be written twice therefore hands on
 * `fence` and lets the place it writes to refuse a number smaller than one it has seen.
 */
export interface Lease {
  readonly name: string;
  /** Grows with each acquisition of the name, over all nodes. */
  readonly fence: number;
  /** Aborts when the lease is lost, released, or its holder is asked to end. */
  readonly signal: AbortSignal;
  isHeld(): boolean;
  /** Ends it, so that the next holder need not wait. Never rejects; harmless when repeated. */
  release(): Promise<void>;
}

export interface HeldLeaseDependencies {
  store: LeaseStore;
  clock: Clock;
  log: Logger;
}

/** Parts of the TTL: how often it is renewed, and for how much of it the holder believes in it. */
const renewAfter = 1 / 3;
const believedFor = 0.9;

export class HeldLease implements Lease {
  readonly name: string;
  readonly fence: number;
  readonly #store: LeaseStore;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #ttlMs: number;
  readonly #ending = new AbortController();
  #heldUntil: number;
  #isOver = false;
  #cancelRenewal: Cancel = () => undefined;
  #cancelEnd: Cancel = () => undefined;

  /** `askedAt`: the clock's monotonic time before the store was asked. */
  constructor(
    { store, clock, log }: HeldLeaseDependencies,
    { name, fence, ttlMs, askedAt }: { name: string; fence: number; ttlMs: number; askedAt: number },
  ) {
    this.name = name;
    this.fence = fence;
    this.#store = store;
    this.#clock = clock;
    this.#log = log.child({ lease: name, fence });
    this.#ttlMs = ttlMs;
    this.#heldUntil = this.#believe(askedAt);
    this.#planRenewal();
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  isHeld(): boolean {
    if (this.#clock.monotonic() >= this.#heldUntil) this.#lose("it was not renewed in time");
    return !this.#isOver;
  }

  /** Asks whoever works under the lease to end; it stays held and renewed until it is released. */
  askToEnd(): void {
    this.#ending.abort(new Error(`lease ${this.name}: its holder was asked to end`));
  }

  async release(): Promise<void> {
    if (this.#isOver) return;
    this.#end(new Error(`lease ${this.name} was released`));
    try {
      await this.#store.release(this.name, this.fence);
    } catch (error) {
      this.#log.debug({ err: error }, "lease not released; it ends by itself");
    }
  }

  /** Held from `askedAt` on for less than the store keeps it; lost by itself at the end of that. */
  #believe(askedAt: number): number {
    const until = askedAt + this.#ttlMs * believedFor;
    this.#cancelEnd();
    this.#cancelEnd = this.#clock.after(until - this.#clock.monotonic(), () =>
      this.#lose("it was not renewed in time"),
    );
    return until;
  }

  #planRenewal(): void {
    this.#cancelRenewal = this.#clock.after(this.#ttlMs * renewAfter, () => void this.#renew());
  }

  async #renew(): Promise<void> {
    if (!this.isHeld()) return;
    const askedAt = this.#clock.monotonic();
    try {
      const isRenewed = await this.#store.renew(this.name, this.fence, this.#ttlMs);
      if (!isRenewed) return this.#lose("another holds it, or the store forgot it");
      if (!this.isHeld()) return;
      this.#heldUntil = this.#believe(askedAt);
    } catch (error) {
      this.#log.debug({ err: error }, "lease not renewed yet");
    }
    if (!this.#isOver) this.#planRenewal();
  }

  #lose(reason: string): void {
    if (this.#isOver) return;
    this.#log.warn({ reason }, "lease lost");
    this.#end(new Error(`lease ${this.name} was lost: ${reason}`));
  }

  #end(reason: Error): void {
    this.#isOver = true;
    this.#cancelRenewal();
    this.#cancelEnd();
    this.#ending.abort(reason);
  }
}
