/** Runs what belongs to one key one after the other, in the order of the calls; different keys do not wait. */
export type InTurn = <T>(key: string, run: () => Promise<T>) => Promise<T>;

export function createTurns(): InTurn {
  const last = new Map<string, Promise<unknown>>();

  return (key, run) => {
    const turn = (last.get(key) ?? Promise.resolve()).then(run);
    // Whoever comes next waits for the end, not for success.
    const end = turn.catch(() => undefined);
    last.set(key, end);
    void end.then(() => {
      if (last.get(key) === end) last.delete(key);
    });
    return turn;
  };
}
