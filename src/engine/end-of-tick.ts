/** Something to flush at the end of the tick. */
export interface Flushable {
  flush(): void;
}

/** Max flushes per tick; the others follow in the next, so that a channel with many readers does not delay the rest. */
const maxAtOnce = 1_024;

const nothing: Flushable = { flush: () => undefined };

/** Flushes everything that was scheduled, once, at the end of the tick. */
export class EndOfTickFlusher {
  readonly #failed: (error: unknown) => void;
  readonly #last: Flushable;
  #scheduled: Flushable[] = [];

  /** `failed` receives errors; the others are flushed regardless, and `last` after them. */
  constructor(failed: (error: unknown) => void, last: Flushable = nothing) {
    this.#failed = failed;
    this.#last = last;
  }

  schedule(flushable: Flushable): void {
    if (this.#scheduled.push(flushable) === 1) setImmediate(this.#end);
  }

  readonly #end = (): void => {
    const all = this.#scheduled;
    const now = all.splice(0, maxAtOnce);
    if (all.length > 0) setImmediate(this.#end);
    for (const flushable of now) this.#flush(flushable);
    this.#flush(this.#last);
  };

  #flush(flushable: Flushable): void {
    try {
      flushable.flush();
    } catch (error) {
      this.#failed(error);
    }
  }
}
