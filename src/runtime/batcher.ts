/** Loads one of many items that are loaded in batches; rejects if its own result is an error. */
export type LoadOne<Item, Result> = (item: Item) => Promise<Result>;

/** Loads all items and returns their results in the same order; the failure of a single item is an error in its place. */
export type LoadMany<Item, Result> = (items: readonly Item[]) => Promise<readonly (Result | Error)[]>;

/**
 * Collects the items of one turn of the event loop and loads them together, at most `maxBatchSize` at once, so that they
 * share the cost of a round trip. Items that arrive while a batch is in flight wait for its end, so batches grow with the
 * load; a full batch is sent immediately. Batches are sent in the order in which their items arrived.
 *
 * If a whole batch fails, the items waiting behind it are rejected with the same error.
 */
export function createBatcher<Item, Result>(
  loadMany: LoadMany<Item, Result>,
  maxBatchSize: number,
): LoadOne<Item, Result> {
  const batcher = new Batcher(loadMany, maxBatchSize);
  return (item) => batcher.load(item);
}

interface PendingItem<Item, Result> {
  item: Item;
  resolve: (result: Result) => void;
  reject: (error: unknown) => void;
}

class Batcher<Item, Result> {
  readonly #loadMany: LoadMany<Item, Result>;
  readonly #maxBatchSize: number;
  #waiting: PendingItem<Item, Result>[] = [];
  #inFlight = 0;
  #isScheduled = false;

  constructor(loadMany: LoadMany<Item, Result>, maxBatchSize: number) {
    this.#loadMany = loadMany;
    this.#maxBatchSize = maxBatchSize;
  }

  load(item: Item): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#waiting.push({ item, resolve, reject });
    if (this.#waiting.length >= this.#maxBatchSize) this.#send();
    else this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#inFlight > 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#inFlight === 0) this.#send();
    });
  }

  #send(): void {
    const batch = this.#takeWaiting();
    if (batch.length === 0) return;
    this.#inFlight += 1;
    this.#loadMany(batch.map(({ item }) => item)).then(
      (results) => this.#settle(batch, results),
      (error: unknown) => this.#fail(batch, error),
    );
  }

  #settle(batch: readonly PendingItem<Item, Result>[], results: readonly (Result | Error)[]): void {
    this.#inFlight -= 1;
    batch.forEach(({ resolve, reject }, index) => {
      const result = results[index] as Result | Error;
      if (result instanceof Error) reject(result);
      else resolve(result);
    });
    if (this.#waiting.length > 0) this.#schedule();
  }

  #fail(batch: readonly PendingItem<Item, Result>[], error: unknown): void {
    this.#inFlight -= 1;
    for (const { reject } of [...batch, ...this.#takeWaiting()]) reject(error);
  }

  #takeWaiting(): readonly PendingItem<Item, Result>[] {
    const all = this.#waiting;
    this.#waiting = [];
    return all;
  }
}
