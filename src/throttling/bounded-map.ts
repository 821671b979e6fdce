/**
 * A map that never holds more than `limit` entries: where it is full, a sixteenth of them leaves at once, those that
 * were added first. In one go, because finding the first entry of a Map walks over the holes of those deleted before.
 */
export class BoundedMap<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #limit: number;
  readonly #onEvicted: (value: V) => void;

  constructor(limit: number, onEvicted: (value: V) => void = () => undefined) {
    this.#limit = limit;
    this.#onEvicted = onEvicted;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  set(key: K, value: V): void {
    if (this.#entries.size >= this.#limit && !this.#entries.has(key)) this.#evict();
    this.#entries.set(key, value);
  }

  delete(key: K): void {
    this.#entries.delete(key);
  }

  /** Sees entries that are added while it walks, and may delete as it goes. */
  entries(): MapIterator<[K, V]> {
    return this.#entries.entries();
  }

  #evict(): void {
    let left = Math.ceil(this.#limit / 16);
    for (const [key, value] of this.#entries) {
      if (left-- === 0) return;
      this.#entries.delete(key);
      this.#onEvicted(value);
    }
  }
}
