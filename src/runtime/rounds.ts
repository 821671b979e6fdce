import type { Cancel, Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

export interface RoundsDeps {
  /** Writes what these have to say; where it rejects, they are due again. */
  carry: (keys: readonly string[]) => Promise<void>;
  /** False while nothing may be written; what is due then waits for the next `add`. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

export interface RoundsOptions {
  /** What is written, for the log. */
  what: string;
  /** Least milliseconds from one round to the next: what changes meanwhile goes in one. */
  paceMs: number;
  /** Keys written at the same time. */
  atOnce: number;
}

const retryMs = 500;

/** Carries what changed to the store: soon, many at a time, and again where the store was away. */
export class Rounds {
  readonly #deps: RoundsDeps;
  readonly #options: RoundsOptions;
  readonly #due = new Set<string>();
  #cancel: Cancel | undefined;
  #nextAt = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(deps: RoundsDeps, options: RoundsOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  add(key: string): void {
    this.#due.add(key);
    this.#plan(this.#nextAt - this.#deps.clock.monotonic());
  }

  /** Carries all that is due now; what failed is tried again later. */
  async run(): Promise<void> {
    if (!this.#deps.mayWrite()) return;
    const { paceMs, atOnce } = this.#options;
    this.#nextAt = this.#deps.clock.monotonic() + paceMs;
    const due = [...this.#due];
    this.#due.clear();
    for (let start = 0; start < due.length; start += atOnce) await this.#carry(due.slice(start, start + atOnce));
  }

  /** Carries what is due for the last time. */
  async stop(): Promise<void> {
    await this.run();
    this.#isStopped = true;
    this.#cancel?.();
  }

  async #carry(keys: readonly string[]): Promise<void> {
    try {
      await this.#deps.carry(keys);
    } catch (error) {
      this.#deps.log.warn({ err: error, count: keys.length }, `writing ${this.#options.what} failed; retrying`);
      for (const key of keys) this.#due.add(key);
      this.#plan(retryMs);
    }
  }

  #plan(delayMs: number): void {
    if (this.#isStopped || this.#cancel !== undefined) return;
    this.#cancel = this.#deps.clock.after(delayMs, () => {
      this.#cancel = undefined;
      void this.run();
    });
  }
}
