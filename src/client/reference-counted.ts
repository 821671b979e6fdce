/** A value that several users share. */
export interface Shareable {
  /** Whether it has ended by itself; the next `acquire` creates another. */
  readonly hasEnded: boolean;
  end(): void;
}

export interface Reference<Value> {
  value: Value;
  /** Repeated calls do nothing. */
  release(): void;
}

/** Values by name: created for the first user, ended after the last. */
export class ReferenceCounted<Value extends Shareable> {
  readonly #create: (name: string) => Value;
  readonly #references = new Map<string, { value: Value; users: number }>();

  constructor(create: (name: string) => Value) {
    this.#create = create;
  }

  acquire(name: string): Reference<Value> {
    const known = this.#references.get(name);
    const entry = known === undefined || known.value.hasEnded ? { value: this.#create(name), users: 0 } : known;
    this.#references.set(name, entry);
    entry.users += 1;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#release(name, entry);
      isHeld = false;
    };
    return { value: entry.value, release };
  }

  #release(name: string, entry: { value: Value; users: number }): void {
    entry.users -= 1;
    if (entry.users > 0) return;
    if (this.#references.get(name) === entry) this.#references.delete(name);
    entry.value.end();
  }
}
