import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { LocalChannel } from "./local-channel.ts";
import type { BufferedItem, ReleasedBuffer, SubscribeBuffers } from "./subscribe-buffers.ts";
import type { Deliver, Subscriber } from "./subscribers.ts";
import type { Subscriptions } from "./subscriptions.ts";

export interface BufferReleaseDeps {
  buffers: SubscribeBuffers;
  subscriptions: Subscriptions;
  localChannel: (channel: string) => LocalChannel | undefined;
  deliver: Deliver;
  /** The subscriber missed publications of the channel and must be notified. */
  onLost: (channel: string, subscriber: Subscriber) => void;
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
    const { mayDeliver, clock, buffers, onLost, deliver } = this.#deps;
    if (!mayDeliver()) return void clock.after(retryMs, () => this.release(subscriber));
    const released = buffers.end(subscriber);
    if (released === undefined) return;
    // Gaps are reported first: a subscriber must not receive publications after a gap it does not know of.
    for (const [channel, position] of released.resumeAt) this.#resume(subscriber, channel, position);
    for (const channel of released.overflowed ?? []) onLost(channel, subscriber);
    for (const item of released.items) {
      if (this.#isUnread(subscriber, item, released)) deliver([subscriber], item.message.packet);
    }
  }

  #isUnread(subscriber: Subscriber, { channel, message }: BufferedItem, { resumeAt }: ReleasedBuffer): boolean {
    if (!this.#deps.subscriptions.has(subscriber, channel)) return false;
    const position = resumeAt.get(channel);
    if (position === undefined || message.offset === undefined) return true;
    return message.epoch === position.epoch && message.offset > position.offset;
  }

  #resume(subscriber: Subscriber, channel: string, position: Position | undefined): void {
    const local = this.#deps.localChannel(channel);
    if (local === undefined || !this.#deps.subscriptions.has(subscriber, channel)) return;
    if (!local.resume(subscriber, position)) this.#deps.onLost(channel, subscriber);
    if (position !== undefined && position.epoch !== local.position?.epoch) this.#deps.onOtherEpoch();
  }
}
