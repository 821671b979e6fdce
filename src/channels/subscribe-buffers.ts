import type { Position } from "../protocol/scalars.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { Subscriber } from "./subscribers.ts";

/** A publication, a packet without an offset, or what is to be done between them. */
export type BufferedItem = BufferedMessage | { channel: string; act: () => void };

export interface BufferedMessage {
  channel: string;
  message: Pick<FeedMessage, "packet"> & Partial<Pick<FeedMessage, "epoch" | "offset">>;
}

/** What was buffered for one subscriber. */
export interface ReleasedBuffer {
  /** In feed order. */
  items: BufferedItem[];
  /** The position in the acknowledgement of each requested channel; undefined if the request was rejected. */
  resumeAt: ReadonlyMap<string, Position | undefined>;
  /** Channels of which messages were dropped because the buffer was full; undefined if there are none. */
  overflowed: ReadonlySet<string> | undefined;
}

interface SubscribeBuffer {
  /** Of the last publication the subscriber was sent before. */
  timestamp: number;
  depth: number;
  bytes: number;
  items: BufferedItem[];
  resumeAt: Map<string, Position | undefined>;
  overflowed: Set<string> | undefined;
}

/** Max bytes buffered for one subscriber. */
const maxBytes = 2 * 1_048_576;

/**
 * Buffers everything for a subscriber, of any channel and in feed order, while one of its subscribe requests is being
 * answered. A subscriber therefore receives publications of all its channels in timestamp order, and the timestamp of
 * the last one determines what it missed.
 */
export class SubscribeBuffers {
  readonly #buffers = new Map<Subscriber, SubscribeBuffer>();

  /** Number of buffered subscribers; if 0, delivery skips the check. */
  get size(): number {
    return this.#buffers.size;
  }

  /**
   * Starts buffering; nests, and ends with as many calls of `end`. `timestamp`: of the last publication it was sent.
   */
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
        overflowed: undefined,
      });
  }

  /** The timestamp at which buffering started; undefined if the subscriber is not buffered. */
  timestampOf(subscriber: Subscriber): number | undefined {
    return this.#buffers.get(subscriber)?.timestamp;
  }

  /** Returns false if the subscriber is not buffered. */
  buffer(subscriber: Subscriber, channel: string, message: FeedMessage): boolean {
    const hold = this.#buffers.get(subscriber);
    if (hold === undefined) return false;
    if (!addTo(hold, { channel, message })) (hold.overflowed ??= new Set()).add(channel);
    return true;
  }

  /** The same for a packet without an offset, which is dropped if the buffer is full. */
  bufferLive(subscriber: Subscriber, channel: string, packet: Buffer): boolean {
    const hold = this.#buffers.get(subscriber);
    if (hold !== undefined) addTo(hold, { channel, message: { packet } });
    return hold !== undefined;
  }

  /** The same for what is to be done behind what was buffered before, if the subscription still exists then. */
  bufferAct(subscriber: Subscriber, channel: string, act: () => void): boolean {
    const hold = this.#buffers.get(subscriber);
    hold?.items.push({ channel, act });
    return hold !== undefined;
  }

  answer(subscriber: Subscriber, channel: string, answered: Position): void {
    this.#buffers.get(subscriber)?.resumeAt.set(channel, answered);
  }

  /** A request for an existing subscription was rejected; the subscription continues where it was. */
  reject(subscriber: Subscriber, channel: string): void {
    const answered = this.#buffers.get(subscriber)?.resumeAt;
    if (answered?.has(channel) === false) answered.set(channel, undefined);
  }

  /** The buffer, at the last nested `end`; undefined before, and if the subscriber has disconnected. */
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

/** Returns false if the buffer is full. */
function addTo(hold: SubscribeBuffer, item: BufferedMessage): boolean {
  const bytes = hold.bytes + item.message.packet.length;
  if (bytes > maxBytes) return false;
  hold.bytes = bytes;
  hold.items.push(item);
  return true;
}
