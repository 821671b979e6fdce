/** A map for the many places that are mostly empty; it then takes no memory. */
export class SparseMap<K, V> {
  #entries: Map<K, V> | undefined;

  get size(): number {
    return this.#entries?.size ?? 0;
  }

  has(key: K): boolean {
    return this.#entries?.has(key) ?? false;
  }

  get(key: K): V | undefined {
    return this.#entries?.get(key);
  }

  set(key: K, value: V): void {
    (this.#entries ??= new Map<K, V>()).set(key, value);
  }

  delete(key: K): void {
    if (this.#entries?.delete(key) === true && this.#entries.size === 0) this.#entries = undefined;
  }

  values(): Iterable<V> {
    return this.#entries?.values() ?? [];
  }
}
