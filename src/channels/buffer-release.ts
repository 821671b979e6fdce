import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { LocalChannel } from "./local-channel.ts";
import type { BufferedItem, SubscribeBuffers } from "./subscribe-buffers.ts";
import type { Deliver, Subscriber } from "./subscribers.ts";
import type { Subscriptions } from "./subscriptions.ts";

export interface BufferReleaseDeps {
  buffers: SubscribeBuffers;
  subscriptions: Subscriptions;
  localChannel: (channel: string) => LocalChannel | undefined;
  deliver: Deliver;
  /** The subscriber missed publications of the channel, up to `from`, and must be notified. */
  onLost: (channel: string, subscriber: Subscriber, from: Position) => void;
  /** The subscriber was answered with another epoch than this node follows. */
  onOtherEpoch: () => void;
  /** False while this node may not deliver. */
  mayDeliver: () => boolean;
  clock: Clock;
}

/** Milliseconds until a node that may not deliver retries. */
const retryMs = 50;

/** Delivers what was buffered for a subscriber while its subscribe requests were answered, without what they contained. */
export class BufferRelease {
  readonly #deps: BufferReleaseDeps;

  constructor(deps: BufferReleaseDeps) {
    this.#deps = deps;
  }

  /** Call behind each acknowledgement; the last pending one releases the buffer. */
  release(subscriber: Subscriber): void {
    const { mayDeliver, clock, buffers, deliver } = this.#deps;
    if (!mayDeliver()) return void clock.after(retryMs, () => this.release(subscriber));
    const released = buffers.end(subscriber);
    if (released === undefined) return;
    // Gaps are reported first: a subscriber must not receive publications after a gap it does not know of.
    const readUpTo = new Map(released.resumeAt);
    for (const [channel, position] of released.resumeAt)
      readUpTo.set(channel, this.#resume(subscriber, channel, position));
    for (const channel of released.overflowed ?? []) readUpTo.set(channel, this.#skip(subscriber, channel));
    for (const item of released.items) {
      const isCurrent = this.#deps.subscriptions.has(subscriber, item.channel) && isUnread(item, readUpTo);
      if (!isCurrent) continue;
      if ("act" in item) item.act();
      else deliver([subscriber], item.message.packet);
    }
  }

  /** Returns the position after which the subscriber receives what was buffered; undefined for all of it. */
  #resume(subscriber: Subscriber, channel: string, position: Position | undefined): Position | undefined {
    const local = this.#deps.localChannel(channel);
    if (local === undefined || !this.#deps.subscriptions.has(subscriber, channel)) return position;
    const skippedTo = local.resume(subscriber, position);
    if (skippedTo !== undefined) this.#deps.onLost(channel, subscriber, skippedTo);
    if (position !== undefined && position.epoch !== local.position?.epoch) this.#deps.onOtherEpoch();
    return skippedTo ?? position;
  }

  /** Some of what was buffered was dropped, so nothing of it is delivered. */
  #skip(subscriber: Subscriber, channel: string): Position | undefined {
    const delivered = this.#deps.localChannel(channel)?.delivered;
    if (delivered !== undefined) this.#deps.onLost(channel, subscriber, delivered);
    return delivered;
  }
}

/** What was to be done is so unless an answer or a gap came since. */
function isUnread(item: BufferedItem, readUpTo: ReadonlyMap<string, Position | undefined>): boolean {
  const position = readUpTo.get(item.channel);
  if (position === undefined) return true;
  if ("act" in item) return false;
  const { epoch, offset } = item.message;
  return offset === undefined || (epoch === position.epoch && offset > position.offset);
}
