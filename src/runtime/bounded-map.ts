/**
 * A map with at most `limit` entries: if it is full, the oldest sixteenth is evicted in one go, because finding the first
 * entry of a Map has to skip the holes of deleted ones.
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

  clear(): void {
    this.#entries.clear();
  }

  /** The iterator sees entries added meanwhile; deleting during iteration is safe. */
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
