import type { Cancel, Clock } from "./clock.ts";

/** An entry of the wheel. */
export interface Due {
  /** Managed by the wheel; -1 while not scheduled. */
  dueTick: number;
  due(): void;
}

/** Slots per longest delay: entries run at most one slot late. */
const slotsPerDelay = 128;
const maxTickMs = 250;

/** One timer for all connections: entries due in the same slot run together. */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #slots: readonly Set<Due>[];
  readonly #startedAt: number;
  /** Last tick that was processed. */
  #ticks = 0;
  #size = 0;
  #cancel: Cancel | undefined;

  constructor(clock: Clock, maxDelayMs: number) {
    this.#clock = clock;
    this.#tickMs = Math.min(Math.max(maxDelayMs / slotsPerDelay, 1), maxTickMs);
    const count = Math.ceil(maxDelayMs / this.#tickMs) + 2;
    this.#slots = Array.from({ length: count }, () => new Set<Due>());
    this.#startedAt = clock.monotonic();
  }

  /** Replaces the entry's previous schedule. The delay is at most the longest delay. */
  schedule(item: Due, delayMs: number): void {
    this.cancel(item);
    if (this.#size === 0) this.#start();
    item.dueTick = Math.max(Math.ceil(this.#elapsedTicks() + delayMs / this.#tickMs), this.#ticks + 1);
    this.#slotOf(item.dueTick).add(item);
    this.#size += 1;
  }

  cancel(item: Due): void {
    if (item.dueTick === -1) return;
    this.#slotOf(item.dueTick).delete(item);
    item.dueTick = -1;
    this.#size -= 1;
    if (this.#size === 0) this.#stop();
  }

  #slotOf(tick: number): Set<Due> {
    return this.#slots[tick % this.#slots.length] as Set<Due>;
  }

  #elapsedTicks(): number {
    return (this.#clock.monotonic() - this.#startedAt) / this.#tickMs;
  }

  #start(): void {
    this.#ticks = Math.floor(this.#elapsedTicks());
    this.#cancel = this.#clock.every(this.#tickMs, () => this.#advance());
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #advance(): void {
    const now = Math.floor(this.#elapsedTicks());
    // After a long stall, one round of the wheel covers everything.
    this.#ticks = Math.max(this.#ticks, now - this.#slots.length);
    while (this.#ticks < now && this.#size > 0) {
      this.#ticks += 1;
      for (const item of this.#slotOf(this.#ticks)) this.#run(item, now);
    }
  }

  /** A slot may also contain entries due one round later. */
  #run(item: Due, now: number): void {
    if (item.dueTick > now) return;
    this.cancel(item);
    item.due();
  }
}
