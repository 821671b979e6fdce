/** Counts what has begun and not yet ended. */
export class Unfinished {
  #count = 0;
  #waiting: (() => void)[] | undefined;

  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count > 0 || this.#waiting === undefined) return;
    for (const go of this.#waiting) go();
    this.#waiting = undefined;
  }

  /** Resolves at the first moment in which nothing is unfinished. */
  idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#waiting ??= []).push(resolve));
  }
}
