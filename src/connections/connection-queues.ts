/**
 * Keyed serial queues of one connection: work with the same key runs one after the other, in the order it arrived.
 * The next one starts when the work has ended, or has called `release`.
 */
export class ConnectionQueues {
  /** Undefined while idle, as most connections are most of the time. */
  #tails: Map<string, Promise<void>> | undefined;

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
