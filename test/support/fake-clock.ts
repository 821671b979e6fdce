import type { Cancel, Clock } from "../../src/runtime/clock.ts";

interface Plan {
  at: number;
  periodMs: number | undefined;
  run: () => void;
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #now: number;
  readonly #plans = new Set<Plan>();

  constructor(start = 1_800_000_000_000) {
    this.#now = start;
  }

  now = (): number => this.#now;

  monotonic = (): number => this.#now;

  after = (delayMs: number, run: () => void): Cancel =>
    this.#plan({ at: this.#now + Math.max(delayMs, 0), periodMs: undefined, run });

  every = (periodMs: number, run: () => void): Cancel => this.#plan({ at: this.#now + periodMs, periodMs, run });

  /** Moves time on, running what falls due in order, and lets promises settle after each. */
  async advance(durationMs: number): Promise<void> {
    const end = this.#now + durationMs;
    for (let next = this.#due(end); next !== undefined; next = this.#due(end)) {
      this.#now = next.at;
      if (next.periodMs === undefined) this.#plans.delete(next);
      else next.at += next.periodMs;
      next.run();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  #plan(plan: Plan): Cancel {
    this.#plans.add(plan);
    return () => void this.#plans.delete(plan);
  }

  #due(end: number): Plan | undefined {
    return [...this.#plans].filter((plan) => plan.at <= end).toSorted((a, b) => a.at - b.at)[0];
  }
}

/** Gives every promise that is ready its turn. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
