/** Runs tasks of the same key one after the other, in the order of the calls; different keys do not wait for each other. */
export type KeyedQueue = <T>(key: string, run: () => Promise<T>) => Promise<T>;

export function createKeyedQueue(): KeyedQueue {
  const tails = new Map<string, Promise<unknown>>();

  return (key, run) => {
    const result = (tails.get(key) ?? Promise.resolve()).then(run);
    // The next task waits for the end of this one, not for its success.
    const tail = result.catch(() => undefined);
    tails.set(key, tail);
    void tail.then(() => {
      if (tails.get(key) === tail) tails.delete(key);
    });
    return result;
  };
}
