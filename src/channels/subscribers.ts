/** Somebody on this node who reads channels. `server` makes one per connection; `channels` never sees a socket. */
export interface Subscriber {
  /** Unique on this node. */
  readonly id: string;
}

/** What a subscriber that lags may go without. */
export interface Manner {
  /** A later publication with the same key makes this one needless. Begins with the channel, so that no two share one. */
  key?: string | undefined;
  /** It may be left out altogether. */
  isVolatile?: boolean | undefined;
}

/**
 * Writes one packet (text of an Engine.IO packet in UTF-8) to subscribers. Calls come in the order in which each
 * subscriber must see them.
 */
export type Deliver = (subscribers: readonly Subscriber[], packet: Buffer, manner?: Manner) => void;

/** A list whose members leave in constant time; delivery walks a plain array. */
export class SubscriberList {
  readonly #members: Subscriber[] = [];
  readonly #places = new Map<Subscriber, number>();

  get members(): readonly Subscriber[] {
    return this.#members;
  }

  add(subscriber: Subscriber): void {
    if (this.#places.has(subscriber)) return;
    this.#places.set(subscriber, this.#members.length);
    this.#members.push(subscriber);
  }

  remove(subscriber: Subscriber): void {
    const place = this.#places.get(subscriber);
    if (place === undefined) return;
    this.#places.delete(subscriber);
    const last = this.#members.pop() as Subscriber;
    if (last === subscriber) return;
    this.#members[place] = last;
    this.#places.set(last, place);
  }
}
