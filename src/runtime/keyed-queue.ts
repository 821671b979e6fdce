/**
 * Keyed serial queues: work with the same key runs one after the other, in order of arrival; different keys do not wait for
 * each other. The next work starts when the previous one has ended, or has called `release`.
 */
export class KeyedQueue {
  /** Undefined while idle, as most instances are most of the time. */
  #tails: Map<string, Promise<void>> | undefined;

  get isIdle(): boolean {
    return this.#tails === undefined;
  }

  run<T>(key: string, work: (release: () => void) => Promise<T>): Promise<T> {
    const tails = (this.#tails ??= new Map<string, Promise<void>>());
    const before = tails.get(key);
    const { promise: free, resolve: release } = Promise.withResolvers<void>();
    tails.set(key, free);
    const result = before === undefined ? work(release) : before.then(() => work(release));
    const leave = (): void => {
      release();
      if (tails.get(key) === free) tails.delete(key);
      if (tails.size === 0 && this.#tails === tails) this.#tails = undefined;
    };
    result.then(leave, leave);
    return result;
  }
}
