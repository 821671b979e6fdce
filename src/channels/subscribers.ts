/** Somebody on this node who reads channels. `server` makes one per connection; `channels` never sees a socket. */
export interface Subscriber {
  /** Unique on this node. */
  readonly id: string;
}

/** What a subscriber that lags may go without. */
export interface DeliveryOptions {
  /** A later publication with the same key makes this one needless. Begins with the channel, so that no two share one. */
  key?: string | undefined;
  /** It may be left out altogether. */
  isVolatile?: boolean | undefined;
}

/**
 * Writes one packet (text of an Engine.IO packet in UTF-8) to subscribers. Calls come in the order in which each
 * subscriber must see them.
 */
export type Deliver = (subscribers: readonly Subscriber[], packet: Buffer, manner?: DeliveryOptions) => void;

/** So many members are found by looking at each. */
const maxUnindexed = 8;

/**
 * A list whose members leave in constant time; delivery walks a plain array. Most channels are one user's and have one
 * member: such a list takes little room.
 */
export class SubscriberList {
  #members: Subscriber[] = [];
  /** Where each stands, once there are many. */
  #places: Map<Subscriber, number> | undefined;

  get members(): readonly Subscriber[] {
    return this.#members;
  }

  add(subscriber: Subscriber): void {
    if (this.#placeOf(subscriber) !== -1) return;
    this.#places?.set(subscriber, this.#members.length);
    // An array that is pushed to takes room for seventeen at once.
    if (this.#members.length < maxUnindexed) this.#members = this.#members.concat(subscriber);
    else this.#members.push(subscriber);
    if (this.#members.length > maxUnindexed)
      this.#places ??= new Map(this.#members.map((member, place) => [member, place]));
  }

  remove(subscriber: Subscriber): void {
    const place = this.#placeOf(subscriber);
    if (place === -1) return;
    this.#places?.delete(subscriber);
    const last = this.#members.pop() as Subscriber;
    if (last === subscriber) return;
    this.#members[place] = last;
    this.#places?.set(last, place);
  }

  #placeOf(subscriber: Subscriber): number {
    return this.#places === undefined ? this.#members.indexOf(subscriber) : (this.#places.get(subscriber) ?? -1);
  }
}
