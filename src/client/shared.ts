/** What several users of one client read together. */
export interface Sharable {
  /** It ended by itself: whoever asks for it again gets another. */
  readonly isOver: boolean;
  end(): void;
}

export interface Taken<Thing> {
  thing: Thing;
  /** Harmless when repeated. */
  release(): void;
}

/** Things by name: made for the first who takes one, ended when the last has let go. */
export class Shared<Thing extends Sharable> {
  readonly #make: (name: string) => Thing;
  readonly #taken = new Map<string, { thing: Thing; users: number }>();

  constructor(make: (name: string) => Thing) {
    this.#make = make;
  }

  take(name: string): Taken<Thing> {
    const known = this.#taken.get(name);
    const entry = known === undefined || known.thing.isOver ? { thing: this.#make(name), users: 0 } : known;
    this.#taken.set(name, entry);
    entry.users += 1;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#letGo(name, entry);
      isHeld = false;
    };
    return { thing: entry.thing, release };
  }

  #letGo(name: string, entry: { thing: Thing; users: number }): void {
    entry.users -= 1;
    if (entry.users > 0) return;
    if (this.#taken.get(name) === entry) this.#taken.delete(name);
    entry.thing.end();
  }
}
