/** Work that shares a lane runs one after the other, in the order it came; lanes do not wait for each other. */
export class Lanes {
  /** Most connections have nothing running most of the time. */
  #tails: Map<string, Promise<unknown>> | undefined;

  run<T>(lane: string, work: () => Promise<T>): Promise<T> {
    const tails = (this.#tails ??= new Map<string, Promise<unknown>>());
    const before = tails.get(lane);
    const result = before === undefined ? work() : before.then(work, work);
    tails.set(lane, result);
    const leave = (): void => {
      if (tails.get(lane) === result) tails.delete(lane);
    };
    result.then(leave, leave);
    return result;
  }
}
