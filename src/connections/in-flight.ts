/** Counts operations that have begun and not ended. */
export class InFlightCounter {
  #count = 0;
  #idleListeners: (() => void)[] | undefined;

  get count(): number {
    return this.#count;
  }

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count > 0 || this.#idleListeners === undefined) return;
    for (const resolve of this.#idleListeners) resolve();
    this.#idleListeners = undefined;
  }

  /** Resolves as soon as nothing is in flight. */
  idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#idleListeners ??= []).push(resolve));
  }
}
