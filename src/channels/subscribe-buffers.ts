import type { Position } from "../protocol/scalars.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { Subscriber } from "./subscribers.ts";

/** What was held for one subscriber, for whoever lets it flow again. */
export interface ReleasedBuffer {
  /** In the order of the feed. */
  items: { channel: string; message: FeedMessage }[];
  /** Up to where each channel that was entered meanwhile has been answered; undefined where it was refused. */
  resumeAt: ReadonlyMap<string, Position | undefined>;
  /** Channels of which something was dropped, because more came than is held. */
  overflowed: ReadonlySet<string>;
}

interface SubscribeBuffer {
  /** Of the last publication the subscriber was passed before. */
  timestamp: number;
  depth: number;
  bytes: number;
  items: { channel: string; message: FeedMessage }[];
  resumeAt: Map<string, Position | undefined>;
  overflowed: Set<string>;
}

/** Most bytes held for one subscriber. */
const maxBytes = 2 * 1_048_576;

/**
 * Subscribers that are being answered about a channel: meanwhile everything for them, from any channel, waits here in
 * the order of the feed. So what a subscriber reads is ordered by timestamp over all its channels, and the timestamp of the last
 * publication it has read tells what it missed.
 */
export class SubscribeBuffers {
  readonly #buffers = new Map<Subscriber, SubscribeBuffer>();

  /** How many are held; at 0 delivery need not ask. */
  get size(): number {
    return this.#buffers.size;
  }

  /** Nests: as many calls of `end` let it flow again. `timestamp` is that of the last publication it was passed. */
  begin(subscriber: Subscriber, timestamp: number): void {
    const hold = this.#buffers.get(subscriber);
    if (hold !== undefined) hold.depth++;
    else
      this.#buffers.set(subscriber, {
        timestamp,
        depth: 1,
        bytes: 0,
        items: [],
        resumeAt: new Map(),
        overflowed: new Set(),
      });
  }

  /** Where the subscriber was stopped; undefined where it is not held. */
  timestampOf(subscriber: Subscriber): number | undefined {
    return this.#buffers.get(subscriber)?.timestamp;
  }

  /** Keeps the message where the subscriber is held; false where it is not. */
  buffer(subscriber: Subscriber, channel: string, message: FeedMessage): boolean {
    const hold = this.#buffers.get(subscriber);
    if (hold === undefined) return false;
    if (hold.bytes + message.packet.length > maxBytes) hold.overflowed.add(channel);
    else {
      hold.bytes += message.packet.length;
      hold.items.push({ channel, message });
    }
    return true;
  }

  answer(subscriber: Subscriber, channel: string, answered: Position): void {
    this.#buffers.get(subscriber)?.resumeAt.set(channel, answered);
  }

  /** A request for a channel that it reads already was refused: it goes on from where it was. */
  reject(subscriber: Subscriber, channel: string): void {
    const answered = this.#buffers.get(subscriber)?.resumeAt;
    if (answered?.has(channel) === false) answered.set(channel, undefined);
  }

  /** What was held, once the last `begin` has its `end`; undefined before, and where the subscriber left. */
  end(subscriber: Subscriber): ReleasedBuffer | undefined {
    const hold = this.#buffers.get(subscriber);
    if (hold === undefined || --hold.depth > 0) return undefined;
    this.#buffers.delete(subscriber);
    return hold;
  }

  discard(subscriber: Subscriber): void {
    this.#buffers.delete(subscriber);
  }
}
