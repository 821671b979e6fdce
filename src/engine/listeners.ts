type Listener = (...args: never[]) => void;

/** Event, listener, and whether it is removed when it is called; three elements each. */
type Entries = readonly (string | Listener | boolean)[];

const none: Entries = [];

/**
 * The part of an EventEmitter that Socket.IO and applications use of a connection, in a quarter of its memory: at rest a
 * connection has three listeners.
 */
export class Listeners {
  #entries = none;

  on(event: string, listener: Listener): this {
    return this.#add(event, listener, false);
  }

  once(event: string, listener: Listener): this {
    return this.#add(event, listener, true);
  }

  /** Removes the one that was added last. */
  off(event: string, listener: Listener): this {
    this.#remove(event, listener);
    return this;
  }

  removeListener(event: string, listener: Listener): this {
    return this.off(event, listener);
  }

  listenerCount(event: string): number {
    let count = 0;
    for (let place = 0; place < this.#entries.length; place += 3) if (this.#entries[place] === event) count += 1;
    return count;
  }

  /** False if nobody listens. */
  emit(event: string, ...args: unknown[]): boolean {
    const entries = this.#entries;
    let isHeard = false;
    for (let place = 0; place < entries.length; place += 3) {
      if (entries[place] !== event) continue;
      isHeard = true;
      const listener = entries[place + 1] as (...args: unknown[]) => void;
      // An event within this one may have called it already.
      if (entries[place + 2] === false || this.#remove(event, listener)) listener.apply(this, args);
    }
    return isHeard;
  }

  #remove(event: string, listener: Listener): boolean {
    const entries = this.#entries;
    for (let place = entries.length - 3; place >= 0; place -= 3) {
      if (entries[place] !== event || entries[place + 1] !== listener) continue;
      this.#entries = entries.toSpliced(place, 3);
      return true;
    }
    return false;
  }

  /** Copied, so that a listener may add and remove others; `push` would reserve room for seventeen. */
  #add(event: string, listener: Listener, isOnce: boolean): this {
    this.#entries = this.#entries.concat([event, listener, isOnce]);
    return this;
  }
}
