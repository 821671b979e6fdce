/** A connection of this node, as far as channels need to know it. */
export interface Subscriber {
  /** Unique on this node. */
  readonly id: string;
  readonly userId: string;
}

/** What a slow subscriber may be spared. */
export interface DeliveryOptions {
  /** A later publication with the same key replaces this one. Starts with the channel, so that no two share one. */
  key?: string | undefined;
  /** May be dropped. */
  isVolatile?: boolean | undefined;
}

/**
 * Writes one packet (text of an Engine.IO packet in UTF-8) to subscribers, which receive packets in the order of the
 * calls.
 */
export type Deliver = (subscribers: readonly Subscriber[], packet: Buffer, options?: DeliveryOptions) => void;

/** Lists up to this length are searched linearly. */
const maxUnindexed = 8;

/**
 * An array of subscribers with constant-time removal. Most channels have one subscriber, so a short list must be small.
 */
export class SubscriberList {
  #members: Subscriber[] = [];
  /** Index of each, once there are many. */
  #places: Map<Subscriber, number> | undefined;

  get members(): readonly Subscriber[] {
    return this.#members;
  }

  add(subscriber: Subscriber): void {
    if (this.#placeOf(subscriber) !== -1) return;
    this.#places?.set(subscriber, this.#members.length);
    // `push` would reserve room for seventeen at once.
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
