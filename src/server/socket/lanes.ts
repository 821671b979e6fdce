import { SparseMap } from "../../runtime/sparse-map.ts";

/**
 * Work that shares a lane runs one after the other, in the order it came; lanes do not wait for each other. Work that
 * calls `letNext` does not keep the next one waiting for its end.
 */
export class Lanes {
  readonly #tails = new SparseMap<string, Promise<void>>();

  run<T>(lane: string, work: (letNext: () => void) => Promise<T>): Promise<T> {
    const tails = this.#tails;
    const before = tails.get(lane);
    const { promise: free, resolve: letNext } = Promise.withResolvers<void>();
    tails.set(lane, free);
    const result = before === undefined ? work(letNext) : before.then(() => work(letNext));
    const leave = (): void => {
      letNext();
      if (tails.get(lane) === free) tails.delete(lane);
    };
    result.then(leave, leave);
    return result;
  }
}
