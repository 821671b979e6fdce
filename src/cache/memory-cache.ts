/** Times are monotonic milliseconds. */
export interface CacheEntry {
  value: unknown;
  bytes: number;
  freshUntil: number;
  staleUntil: number;
}

/** Max bytes of a single value. */
const maxValueBytes = 1_048_576;

/** An LRU cache of at most `maxBytes`. */
export class MemoryCache {
  readonly #maxBytes: number;
  /** In order of last use. */
  readonly #values = new Map<string, CacheEntry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Undefined if missing or expired at `now`. */
  get(key: string, now: number): CacheEntry | undefined {
    const entry = this.#take(key);
    if (entry === undefined || now >= entry.staleUntil) return undefined;
    this.#put(key, entry);
    return entry;
  }

  set(key: string, entry: CacheEntry): void {
    this.#take(key);
    if (entry.bytes > maxValueBytes) return;
    this.#put(key, entry);
    for (const oldest of this.#values.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#take(oldest);
    }
  }

  #take(key: string): CacheEntry | undefined {
    const entry = this.#values.get(key);
    if (entry === undefined) return undefined;
    this.#values.delete(key);
    this.#bytes -= entry.bytes;
    return entry;
  }

  #put(key: string, entry: CacheEntry): void {
    this.#values.set(key, entry);
    this.#bytes += entry.bytes;
  }
}
