export type Listener<Argument> = (argument: Argument) => void;

/** Removes a listener. Repeated calls do nothing. */
export type Off = () => void;

/** Listeners by event. If one throws, the others are still called, and its error surfaces as an uncaught error. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<PropertyKey, Set<Listener<never>>>();

  get hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off {
    const listeners = this.#listeners.get(name) ?? new Set();
    // A listener added twice is called twice and removed twice, so each has its own identity.
    const added: Listener<Events[Name]> = (argument) => listener(argument);
    this.#listeners.set(name, listeners.add(added));
    return () => {
      listeners.delete(added);
      if (listeners.size === 0 && this.#listeners.get(name) === listeners) this.#listeners.delete(name);
    };
  }

  emit<Name extends keyof Events>(name: Name, argument: Events[Name]): void {
    const listeners = this.#listeners.get(name) as Set<Listener<Events[Name]>> | undefined;
    // Copied: listeners added or removed by a listener take effect with the next event.
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
