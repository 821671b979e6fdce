/**
 * Single flight by key: concurrent callers share one run. A caller that arrives during a run shares the next one, so no
 * caller gets a result that was started before it asked.
 */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();
  readonly #next = new Map<string, Promise<T>>();

  run(key: string, work: () => Promise<T>): Promise<T> {
    // First: between the end of a run and the begin of the next, none is running.
    const next = this.#next.get(key);
    if (next !== undefined) return next;
    const running = this.#running.get(key);
    if (running === undefined) return this.#begin(key, work);
    const begin = (): Promise<T> => this.#begin(key, work);
    const following = running.then(begin, begin);
    this.#next.set(key, following);
    return following;
  }

  #begin(key: string, work: () => Promise<T>): Promise<T> {
    this.#next.delete(key);
    const run = work();
    this.#running.set(key, run);
    const end = (): void => {
      if (this.#running.get(key) === run) this.#running.delete(key);
    };
    run.then(end, end);
    return run;
  }
}
