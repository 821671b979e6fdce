export type Listener<Argument> = (argument: Argument) => void;

/** Takes a listener away again. Harmless when repeated. */
export type Off = () => void;

/** Listeners by event. One that throws does not keep the others from hearing; its error surfaces as an uncaught one. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<PropertyKey, Set<Listener<never>>>();

  get isHeard(): boolean {
    return this.#listeners.size > 0;
  }

  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off {
    const listeners = this.#listeners.get(name) ?? new Set();
    // A listener added twice is heard twice and taken away twice, so each gets an identity of its own.
    const added: Listener<Events[Name]> = (argument) => listener(argument);
    this.#listeners.set(name, listeners.add(added));
    return () => {
      listeners.delete(added);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
  }

  emit<Name extends keyof Events>(name: Name, argument: Events[Name]): void {
    const listeners = this.#listeners.get(name) as Set<Listener<Events[Name]>> | undefined;
    // A copy: what a listener adds or takes away counts from the next event on.
    for (const listener of Array.from(listeners ?? [])) {
      try {
        listener(argument);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** One user's listeners of what others listen to as well: they can be taken away together. */
export class Listeners<Events extends object> {
  readonly #emitter: Emitter<Events>;
  readonly #offs = new Set<Off>();

  constructor(emitter: Emitter<Events>) {
    this.#emitter = emitter;
  }

  readonly on = <Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off => {
    const off = this.#emitter.on(name, listener);
    const offOnce = (): void => {
      this.#offs.delete(offOnce);
      off();
    };
    this.#offs.add(offOnce);
    return offOnce;
  };

  end(): void {
    for (const off of this.#offs) off();
  }
}
