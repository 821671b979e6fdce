/** The queue of one subject. */
export interface JobQueue<T> {
  /** Waiting jobs, the next first; `run` may reorder them. */
  readonly jobs: T[];
  /** False after the head was given up: the jobs behind it get one attempt each, until one succeeds. */
  retries: boolean;
}

/**
 * FIFO queues by subject: jobs of one subject run in order, those of different subjects concurrently. Unlike `KeyedQueue`,
 * a run may take several jobs at once and reorder those that wait.
 */
export interface JobQueues<T> {
  add(key: string, item: T): void;
}

/** `run` takes at least one job from the head of the queue and resolves when it is done. */
export function createJobQueues<T>(run: (queue: JobQueue<T>) => Promise<void>): JobQueues<T> {
  const queues = new Map<string, JobQueue<T>>();

  async function drive(key: string, queue: JobQueue<T>): Promise<void> {
    while (queue.jobs.length > 0) await run(queue);
    queues.delete(key);
  }

  return {
    add(key, item) {
      const queue = queues.get(key);
      if (queue !== undefined) return void queue.jobs.push(item);
      const fresh = { jobs: [item], retries: true };
      queues.set(key, fresh);
      void drive(key, fresh);
    },
  };
}
