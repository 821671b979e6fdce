/** Up to so many entries are searched linearly. */
const few = 8;

/** A map for the many places that mostly have one or two entries; it then takes a fifth of a Map's memory. */
export class SmallMap<K, V> {
  /** Alternating keys and values, while there are few. */
  #flat: readonly (K | V)[] = [];
  #entries: Map<K, V> | undefined;

  get size(): number {
    return this.#entries?.size ?? this.#flat.length / 2;
  }

  has(key: K): boolean {
    return this.#entries?.has(key) ?? this.#placeOf(key) !== -1;
  }

  get(key: K): V | undefined {
    if (this.#entries !== undefined) return this.#entries.get(key);
    const place = this.#placeOf(key);
    return place === -1 ? undefined : (this.#flat[place + 1] as V);
  }

  set(key: K, value: V): void {
    if (this.#entries === undefined && this.size >= few && !this.has(key)) this.#grow();
    if (this.#entries !== undefined) this.#entries.set(key, value);
    else this.#flat = this.#with(key, value);
  }

  /** False if the key was missing. */
  delete(key: K): boolean {
    if (this.#entries !== undefined) return this.#entries.delete(key);
    const place = this.#placeOf(key);
    if (place !== -1) this.#flat = this.#flat.toSpliced(place, 2);
    return place !== -1;
  }

  keys(): Iterable<K> {
    return this.#entries?.keys() ?? (this.#flat.filter((_, index) => index % 2 === 0) as K[]);
  }

  values(): Iterable<V> {
    return this.#entries?.values() ?? (this.#flat.filter((_, index) => index % 2 === 1) as V[]);
  }

  clear(): void {
    this.#flat = [];
    this.#entries = undefined;
  }

  #grow(): void {
    this.#entries = new Map();
    for (let place = 0; place < this.#flat.length; place += 2)
      this.#entries.set(this.#flat[place] as K, this.#flat[place + 1] as V);
    this.#flat = [];
  }

  #placeOf(key: K): number {
    for (let place = 0; place < this.#flat.length; place += 2) if (this.#flat[place] === key) return place;
    return -1;
  }

  /** Copied, because `push` would reserve memory for many more. */
  #with(key: K, value: V): readonly (K | V)[] {
    const place = this.#placeOf(key);
    return place === -1 ? this.#flat.concat([key, value]) : this.#flat.with(place + 1, value);
  }
}
