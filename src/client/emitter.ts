export type Listener<Argument> = (argument: Argument) => void;

/** Removes a listener. Repeated calls do nothing. */
export type Off = () => void;

/** Events by name. If a listener throws, the others are still called, and its error surfaces as an uncaught error. */
export interface Emitter<Events extends object> {
  on<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): Off;
  emit<Name extends keyof Events>(name: Name, argument: Events[Name]): void;
  /** Listens to every event. */
  _onAny(listener: AnyListener): Off;
  _hasListeners(): boolean;
}

export type AnyListener = (event: never, argument: never) => void;

export function createEmitter<Events extends object>(): Emitter<Events> {
  // A listener added twice is called twice and removed twice, so each has its own entry.
  const entries = new Set<[name: PropertyKey | undefined, listener: (argument: never, event: never) => void]>();
  const add = (name: PropertyKey | undefined, listener: (argument: never, event: never) => void): Off => {
    const entry: [typeof name, typeof listener] = [name, listener];
    entries.add(entry);
    return () => void entries.delete(entry);
  };
  return {
    on: add,
    _onAny: (listener) => add(undefined, (argument, event) => listener(event, argument)),
    _hasListeners: () => entries.size > 0,
    emit(event, argument) {
      // Copied: listeners added or removed by a listener take effect with the next event.
      [...entries].forEach(([name = event, listener]) => {
        try {
          if (name === event) listener(argument as never, event as never);
        } catch (error) {
          queueMicrotask(() => {
            throw error;
          });
        }
      });
    },
  };
}
