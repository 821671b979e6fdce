import type { Cancel, Clock } from "../runtime/clock.ts";

interface ClockTimer {
  /** By `monotonic`. */
  at: number;
  periodMs: number | undefined;
  run: () => void;
  timer: NodeJS.Timeout | undefined;
}

/** Milliseconds of one step: far less than nodes keep commands, and than clients have to answer a ping. */
const stepMs = 300_000;

/**
 * A clock that runs like the system's, and that a test moves on: for the nodes and their store, so that tokens, sessions,
 * limits and everything in Redis expire. A step is like a pause of the process in which everything else went on.
 */
export class TestClock implements Clock {
  #aheadMs = 0;
  readonly #plans = new Set<ClockTimer>();
  readonly #moveStore: (ms: number) => Promise<void>;
  readonly #nodes = new Set<() => Promise<void>>();

  constructor(moveStore: (ms: number) => Promise<void>) {
    this.#moveStore = moveStore;
  }

  now(): number {
    return Date.now() + this.#aheadMs;
  }

  monotonic(): number {
    return performance.now() + this.#aheadMs;
  }

  after(delayMs: number, run: () => void): Cancel {
    return this.#plan({ at: this.monotonic() + Math.max(delayMs, 0), periodMs: undefined, run, timer: undefined });
  }

  every(periodMs: number, run: () => void): Cancel {
    return this.#plan({ at: this.monotonic() + periodMs, periodMs, run, timer: undefined });
  }

  /** Moves the time on, and resolves when the nodes serve their clients again. What they then do takes its usual time. */
  async advance(durationMs: number): Promise<void> {
    for (let leftMs = durationMs; leftMs > 0; leftMs -= stepMs) await this.#step(Math.min(leftMs, stepMs));
  }

  /** `isReady` resolves when a node has noticed that time has passed. Call the result when the node is gone. */
  follow(isReady: () => Promise<void>): () => void {
    this.#nodes.add(isReady);
    return () => void this.#nodes.delete(isReady);
  }

  async #step(ms: number): Promise<void> {
    await this.#moveStore(ms);
    this.#aheadMs += ms;
    const due = [...this.#plans].filter(({ at }) => at <= this.monotonic()).toSorted((a, b) => a.at - b.at);
    for (const plan of due) if (this.#plans.has(plan)) this.#run(plan);
    for (const plan of this.#plans) this.#arm(plan);
    await Promise.all([...this.#nodes].map((isReady) => isReady()));
  }

  #plan(plan: ClockTimer): Cancel {
    this.#plans.add(plan);
    this.#arm(plan);
    return () => {
      clearTimeout(plan.timer);
      this.#plans.delete(plan);
    };
  }

  /** Does not keep the process alive. */
  #arm(plan: ClockTimer): void {
    clearTimeout(plan.timer);
    const delayMs = Math.min(Math.max(plan.at - this.monotonic(), 0), 2_147_483_647);
    plan.timer = setTimeout(() => (plan.at <= this.monotonic() ? this.#run(plan) : this.#arm(plan)), delayMs).unref();
  }

  #run(plan: ClockTimer): void {
    if (plan.periodMs === undefined) {
      clearTimeout(plan.timer);
      this.#plans.delete(plan);
    } else {
      plan.at = this.monotonic() + plan.periodMs;
      this.#arm(plan);
    }
    plan.run();
  }
}
