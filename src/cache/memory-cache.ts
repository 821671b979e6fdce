/** A value, and until when it is good: monotonic milliseconds. */
export interface CacheEntry {
  value: unknown;
  bytes: number;
  freshUntil: number;
  staleUntil: number;
}

/** Largest value that is kept, in bytes. */
const maxValueBytes = 1_048_576;

/** A node's own values, at most `maxBytes` of them: the least recently read go first. */
export class MemoryCache {
  readonly #maxBytes: number;
  /** In the order in which they were read. */
  readonly #values = new Map<string, CacheEntry>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Nothing that has ended by `now`. */
  get(key: string, now: number): CacheEntry | undefined {
    const kept = this.#take(key);
    if (kept === undefined || now >= kept.staleUntil) return undefined;
    this.#put(key, kept);
    return kept;
  }

  set(key: string, kept: CacheEntry): void {
    this.#take(key);
    if (kept.bytes > maxValueBytes) return;
    this.#put(key, kept);
    for (const oldest of this.#values.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.#take(oldest);
    }
  }

  #take(key: string): CacheEntry | undefined {
    const kept = this.#values.get(key);
    if (kept === undefined) return undefined;
    this.#values.delete(key);
    this.#bytes -= kept.bytes;
    return kept;
  }

  #put(key: string, kept: CacheEntry): void {
    this.#values.set(key, kept);
    this.#bytes += kept.bytes;
  }
}
