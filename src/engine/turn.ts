/** Somebody who collects during a turn of the event loop what is to be written at its end. */
export interface Collecting {
  flush(): void;
}

/** Flushed in one go; the others wait for the next turn, so that a channel with many readers does not hold up the rest. */
const mostAtOnce = 1_024;

const nobody: Collecting = { flush: () => undefined };

/** Calls everybody who has collected something once, when the turn of the event loop ends. */
export class Turn {
  readonly #failed: (error: unknown) => void;
  readonly #last: Collecting;
  #waiting: Collecting[] = [];

  /** `failed` is told what one of them throws; the others are called all the same, and `last` after them. */
  constructor(failed: (error: unknown) => void, last: Collecting = nobody) {
    this.#failed = failed;
    this.#last = last;
  }

  schedule(collecting: Collecting): void {
    if (this.#waiting.push(collecting) === 1) setImmediate(this.#end);
  }

  readonly #end = (): void => {
    const all = this.#waiting;
    const now = all.splice(0, mostAtOnce);
    if (all.length > 0) setImmediate(this.#end);
    for (const collecting of now) this.#flush(collecting);
    this.#flush(this.#last);
  };

  #flush(collecting: Collecting): void {
    try {
      collecting.flush();
    } catch (error) {
      this.#failed(error);
    }
  }
}
