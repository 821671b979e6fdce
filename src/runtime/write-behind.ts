import type { Cancel, Clock } from "./clock.ts";
import type { Logger } from "./logger.ts";

export interface WriteBehindDeps {
  /** Writes the current values of these keys; if it rejects, they are written again later. */
  write: (keys: readonly string[]) => Promise<void>;
  /** While it returns false nothing is written; dirty keys then wait for the next `add`. */
  mayWrite: () => boolean;
  clock: Clock;
  log: Logger;
}

export interface WriteBehindOptions {
  /** What is written, for log lines. */
  description: string;
  /** Min milliseconds between two flushes: changes in between are written together. */
  intervalMs: number;
  /** Keys per call of `write`. */
  batchSize: number;
}

const retryMs = 500;

/** Write-behind of changed keys: soon, in batches, and again if the store was unreachable. */
export class WriteBehind {
  readonly #deps: WriteBehindDeps;
  readonly #options: WriteBehindOptions;
  readonly #dirty = new Set<string>();
  #cancel: Cancel | undefined;
  #nextFlushAt = Number.NEGATIVE_INFINITY;
  #isStopped = false;
  #flushing: Promise<void> = Promise.resolve();

  constructor(deps: WriteBehindDeps, options: WriteBehindOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  add(key: string): void {
    this.#dirty.add(key);
    this.#schedule(this.#nextFlushAt - this.#deps.clock.monotonic());
  }

  /** Writes all dirty keys now; failed ones are retried later. Resolves when earlier flushes have ended too. */
  flush(): Promise<void> {
    return (this.#flushing = Promise.all([this.#flushing, this.#flushNow()]).then(() => undefined));
  }

  async #flushNow(): Promise<void> {
    if (!this.#deps.mayWrite()) return;
    const { intervalMs, batchSize } = this.#options;
    this.#nextFlushAt = this.#deps.clock.monotonic() + intervalMs;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    for (let start = 0; start < dirty.length; start += batchSize)
      await this.#write(dirty.slice(start, start + batchSize));
  }

  /** Writes all dirty keys one last time, with those whose write is still under way if that fails. */
  async stop(): Promise<void> {
    await this.#flushing;
    await this.flush();
    this.#isStopped = true;
    this.#cancel?.();
  }

  async #write(keys: readonly string[]): Promise<void> {
    try {
      await this.#deps.write(keys);
    } catch (error) {
      this.#deps.log.warn({ err: error, count: keys.length }, `writing ${this.#options.description} failed; retrying`);
      for (const key of keys) this.#dirty.add(key);
      this.#schedule(retryMs);
    }
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped || this.#cancel !== undefined) return;
    this.#cancel = this.#deps.clock.after(delayMs, () => {
      this.#cancel = undefined;
      void this.flush();
    });
  }
}
