/**
 * Work that shares a lane runs one after the other, in the order it came; lanes do not wait for each other. Work that
 * calls `letNext` does not keep the next one waiting for its end.
 */
export class Lanes {
  /** Most connections have nothing running most of the time. */
  #tails: Map<string, Promise<void>> | undefined;

  run<T>(lane: string, work: (letNext: () => void) => Promise<T>): Promise<T> {
    const tails = (this.#tails ??= new Map<string, Promise<void>>());
    const before = tails.get(lane);
    const { promise: free, resolve: letNext } = Promise.withResolvers<void>();
    tails.set(lane, free);
    const result = before === undefined ? work(letNext) : before.then(() => work(letNext));
    const leave = (): void => {
      letNext();
      if (tails.get(lane) === free) tails.delete(lane);
      if (tails.size === 0 && this.#tails === tails) this.#tails = undefined;
    };
    result.then(leave, leave);
    return result;
  }
}
