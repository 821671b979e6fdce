import type { Position } from "../protocol/scalars.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { Subscriber } from "./subscribers.ts";

/** What was held for one subscriber, for whoever lets it flow again. */
export interface Released {
  /** In the order of the feed. */
  items: { channel: string; message: FeedMessage }[];
  /** Up to where each channel that was entered meanwhile has been answered; undefined where it was refused. */
  answered: ReadonlyMap<string, Position | undefined>;
  /** Channels of which something was dropped, because more came than is held. */
  overflowed: ReadonlySet<string>;
}

interface Hold {
  /** Of the last publication the subscriber was passed before. */
  stamp: number;
  depth: number;
  bytes: number;
  items: { channel: string; message: FeedMessage }[];
  answered: Map<string, Position | undefined>;
  overflowed: Set<string>;
}

/** Most bytes held for one subscriber. */
const mostBytes = 2 * 1_048_576;

/**
 * Subscribers that are being answered about a channel: meanwhile everything for them, from any channel, waits here in
 * the order of the feed. So what a subscriber reads is ordered by stamp over all its channels, and the stamp of the last
 * publication it has read tells what it missed.
 */
export class Holds {
  readonly #holds = new Map<Subscriber, Hold>();

  /** How many are held; at 0 delivery need not ask. */
  get size(): number {
    return this.#holds.size;
  }

  /** Nests: as many calls of `end` let it flow again. `stamp` is that of the last publication it was passed. */
  begin(subscriber: Subscriber, stamp: number): void {
    const hold = this.#holds.get(subscriber);
    if (hold !== undefined) hold.depth++;
    else
      this.#holds.set(subscriber, { stamp, depth: 1, bytes: 0, items: [], answered: new Map(), overflowed: new Set() });
  }

  /** Where the subscriber was stopped; undefined where it is not held. */
  stampOf(subscriber: Subscriber): number | undefined {
    return this.#holds.get(subscriber)?.stamp;
  }

  /** Keeps the message where the subscriber is held; false where it is not. */
  keep(subscriber: Subscriber, channel: string, message: FeedMessage): boolean {
    const hold = this.#holds.get(subscriber);
    if (hold === undefined) return false;
    if (hold.bytes + message.packet.length > mostBytes) hold.overflowed.add(channel);
    else {
      hold.bytes += message.packet.length;
      hold.items.push({ channel, message });
    }
    return true;
  }

  answer(subscriber: Subscriber, channel: string, answered: Position): void {
    this.#holds.get(subscriber)?.answered.set(channel, answered);
  }

  /** A request for a channel that it reads already was refused: it goes on from where it was. */
  refuse(subscriber: Subscriber, channel: string): void {
    const answered = this.#holds.get(subscriber)?.answered;
    if (answered?.has(channel) === false) answered.set(channel, undefined);
  }

  /** What was held, once the last `begin` has its `end`; undefined before, and where the subscriber left. */
  end(subscriber: Subscriber): Released | undefined {
    const hold = this.#holds.get(subscriber);
    if (hold === undefined || --hold.depth > 0) return undefined;
    this.#holds.delete(subscriber);
    return hold;
  }

  forget(subscriber: Subscriber): void {
    this.#holds.delete(subscriber);
  }
}
