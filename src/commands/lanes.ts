/**
 * Keeps the order of what belongs together while all else runs side by side: items of one key wait for each other,
 * others do not. A lane exists while it has items.
 */
export interface Lane<T> {
  /** What waits, the next first; may be reordered by whoever runs. */
  readonly queue: T[];
  /** False once the head was given up: those behind it are tried once each, until one succeeds. */
  isPatient: boolean;
}

export interface Lanes<T> {
  add(key: string, item: T): void;
}

/** `run` takes what it wants from the head of the queue, at least one, and settles when that is dealt with. */
export function createLanes<T>(run: (lane: Lane<T>) => Promise<void>): Lanes<T> {
  const lanes = new Map<string, Lane<T>>();

  async function drive(key: string, lane: Lane<T>): Promise<void> {
    while (lane.queue.length > 0) await run(lane);
    lanes.delete(key);
  }

  return {
    add(key, item) {
      const lane = lanes.get(key);
      if (lane !== undefined) return void lane.queue.push(item);
      const fresh = { queue: [item], isPatient: true };
      lanes.set(key, fresh);
      void drive(key, fresh);
    },
  };
}
