import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import { SparseMap } from "../runtime/sparse-map.ts";
import type { ChannelLog } from "./channel-log.ts";
import { conflationOf, ConflationWindow, type Conflation } from "./conflation.ts";
import type { RecentDeliveries } from "./delivery-trail.ts";
import type { EphemeralMessage, FeedMessage, ResetMessage } from "./feed-message.ts";
import { isExcepted, positionPacket, toEventPacket } from "./packets.ts";
import type { Feed, FeedReceiver } from "./feed.ts";
import { MessageBuffer } from "./message-buffer.ts";
import type { SubscribeBuffers } from "./subscribe-buffers.ts";
import type { ChannelKindOptions, HistoryOptions } from "./kinds.ts";
import { place, type Placement } from "./recovery.ts";
import type { StreamPosition } from "./log-entry.ts";
import { SubscriberList, type Deliver, type DeliveryOptions, type Subscriber } from "./subscribers.ts";

export type OnDelivered = (
  message: FeedMessage | EphemeralMessage,
  channel: string,
  receivers: readonly Subscriber[],
) => void;

export interface LocalChannelDeps {
  feed: Feed;
  log: ChannelLog;
  buffers: SubscribeBuffers;
  deliver: Deliver;
  /** Called with each publication after it was passed to `deliver`. */
  onDelivered?: OnDelivered | undefined;
  /** Called with every feed message once the position is known. */
  receive: (channel: LocalChannel, message: FeedMessage) => void;
  /** Called when the channel's log was removed. */
  reset: (channel: LocalChannel, message: ResetMessage) => void;
  mayDeliver: () => boolean;
  /** Called with the number of deliveries that conflation replaced by a later publication. */
  onConflated: (deliveryCount: number) => void;
  clock: Clock;
  /** Notes deliveries in order. Undefined if timestamps suffice (`delivery-trail.ts`). */
  recent?: RecentDeliveries | undefined;
}

/** Packets without an offset may be dropped first. */
const volatile: DeliveryOptions = { isVolatile: true };

/**
 * This node's subscription to one channel: its position, and its subscribers. `gap-repair.ts` decides which messages
 * are passed to `advance`.
 */
export class LocalChannel implements FeedReceiver {
  readonly name: string;
  readonly history: HistoryOptions;
  readonly #deps: LocalChannelDeps;
  /** Undefined once subscribed. */
  #subscribing: Promise<void> | undefined;
  readonly #live = new SubscriberList();
  /** Attached but not yet acknowledged subscribers, with the position this channel skipped to in the meantime. */
  readonly #attaching = new SparseMap<Subscriber, { skippedTo: Position | undefined }>();
  /** Those that do not know of their subscription yet, and may still be refused: what has no offset waits for them too. */
  readonly #unacknowledged = new SparseMap<Subscriber, true>();
  /** Subscribers whose acknowledgement contained publications that the feed has not delivered yet. */
  readonly #readAhead = new SparseMap<Subscriber, Position>();
  readonly #window: ConflationWindow | undefined;
  readonly #deliversEvents: boolean;
  /** A reset that was received before the position was known. */
  #earlyReset: ResetMessage | undefined;
  /** Messages received before the position was known. */
  #early: MessageBuffer<FeedMessage> | undefined;
  #position: StreamPosition | undefined;
  /** Up to where subscribers were sent publications; behind the position while a conflation window is open. */
  #delivered: Position | undefined;

  constructor(name: string, { history, conflateMs, deliver }: ChannelKindOptions, deps: LocalChannelDeps) {
    this.name = name;
    this.history = history;
    this.#deps = deps;
    this.#deliversEvents = deliver === "event";
    const conflation = conflationOf(name, conflateMs);
    this.#window = conflation && this.#openWindow(conflation);
    this.#subscribing = this.#subscribe();
    this.#subscribing.catch(() => undefined);
  }

  /** Resolves when this node receives the feed and knows the position. Rejects if Redis is unavailable. */
  get subscribed(): Promise<void> {
    return this.#subscribing ?? Promise.resolve();
  }

  /** Undefined until subscribed. */
  get position(): StreamPosition | undefined {
    return this.#position;
  }

  /** Up to where subscribers were sent publications; undefined until subscribed. */
  get delivered(): Position | undefined {
    return this.#delivered;
  }

  /** True if some publications are replaced by later ones instead of delivered. */
  get isConflated(): boolean {
    return this.#window !== undefined;
  }

  get subscribers(): readonly Subscriber[] {
    return this.#live.members;
  }

  get subscriberCount(): number {
    return this.#live.members.length;
  }

  /** How a message relates to the current position. */
  place(message: FeedMessage): Placement {
    return this.#position === undefined ? "gap" : place(this.#position, message);
  }

  /** Delivers the next publication; if the channel conflates, at the end of its window. */
  advance(message: FeedMessage): void {
    this.#position = { epoch: message.epoch, offset: message.offset, timestamp: message.timestamp };
    if (this.#window === undefined || this.subscriberCount === 0) this.#send(message);
    else this.#window.offer(message);
  }

  /** Delivers a packet that is no publication. */
  deliverLive(packet: Buffer): void {
    this.#sendLive(this.#live.members, packet);
  }

  /** Delivers a publication without an offset. */
  deliverEphemeral(message: EphemeralMessage): void {
    const { members } = this.#live;
    const { packet, except } = message;
    const receivers = except === undefined ? members : members.filter((member) => !isExcepted(member, except));
    if (receivers.length === 0) return;
    const sent = this.#sendLive(receivers, this.#toPacket(packet));
    if (sent.length > 0) this.#deps.onDelivered?.(message, this.name, sent);
  }

  /**
   * The (buffered) subscriber receives everything from here on; `isAcknowledged`: it knows of its subscription already. Call
   * only when `subscribed` has resolved.
   */
  attach(subscriber: Subscriber, isAcknowledged: boolean): void {
    // An earlier request may be answered later, with a position before a gap.
    if (!this.#attaching.has(subscriber)) this.#attaching.set(subscriber, { skippedTo: undefined });
    if (!isAcknowledged) this.#unacknowledged.set(subscriber, true);
    this.#live.add(subscriber);
  }

  /**
   * The subscriber has received everything up to `answered`, or is where it was before it was attached. If there is a gap,
   * returns the position to which this channel skipped: beyond `answered`, or in another epoch.
   */
  resume(subscriber: Subscriber, answered = this.#readAhead.get(subscriber)): Position | undefined {
    const skippedTo = this.#attaching.get(subscriber)?.skippedTo;
    this.#attaching.delete(subscriber);
    this.#unacknowledged.delete(subscriber);
    const isGap = skippedTo !== undefined && (answered === undefined || !isAtOrBehind(skippedTo, answered));
    if (isGap || answered === undefined || isAtOrBehind(answered, this.#delivered as Position))
      this.#readAhead.delete(subscriber);
    else this.#readAhead.set(subscriber, answered);
    return isGap ? skippedTo : undefined;
  }

  detach(subscriber: Subscriber): void {
    this.#live.remove(subscriber);
    this.#attaching.delete(subscriber);
    this.#unacknowledged.delete(subscriber);
    this.#readAhead.delete(subscriber);
    if (this.subscriberCount === 0) this.#window?.clear();
  }

  /** Continues at `now` although publications before it are missing; returns the subscribers that miss them. */
  skipTo(now: StreamPosition): Subscriber[] {
    this.#window?.flush();
    this.#position = this.#delivered = now;
    for (const attaching of this.#attaching.values()) attaching.skippedTo = now;
    const missing = this.#live.members.filter(
      (subscriber) => !this.#attaching.has(subscriber) && !this.#isAtOrAhead(subscriber, now),
    );
    for (const subscriber of missing) this.#readAhead.delete(subscriber);
    return missing;
  }

  /** Unsubscribes from the feed. The channel must not be used again. */
  close(): void {
    this.#window?.clear();
    this.#deps.feed.unfollow(this.name);
  }

  // The feed

  onMessage(message: FeedMessage): void {
    if (this.#position === undefined) (this.#early ??= new MessageBuffer()).add(message);
    else this.#deps.receive(this, message);
  }

  onEphemeral(message: EphemeralMessage): void {
    if (this.#deps.mayDeliver()) this.deliverEphemeral(message);
  }

  onReset(message: ResetMessage): void {
    if (this.#position === undefined) this.#earlyReset = message;
    else this.#deps.reset(this, message);
  }

  async #subscribe(): Promise<void> {
    await this.#deps.feed.follow(this.name, this);
    const { epoch, offset, timestamp } = await this.#deps.log.read(this.name, this.history, { kind: "position" });
    this.#position = { epoch, offset, timestamp };
    this.#delivered = this.#position;
    this.#subscribing = undefined;
    const early = this.#early?.take() ?? [];
    this.#early = undefined;
    if (this.#earlyReset !== undefined) this.#deps.reset(this, this.#earlyReset);
    for (const message of early) this.#deps.receive(this, message);
  }

  #openWindow(conflation: Conflation): ConflationWindow {
    const { clock, mayDeliver, onConflated } = this.#deps;
    return new ConflationWindow(conflation, {
      clock,
      mayDeliver,
      send: (message, key) => this.#send(message, key === undefined ? undefined : { key: `${this.name} ${key}` }),
      onReplaced: () => onConflated(this.subscriberCount),
    });
  }

  #send(message: FeedMessage, options?: DeliveryOptions): void {
    this.#delivered = { epoch: message.epoch, offset: message.offset };
    const { members } = this.#live;
    if (members.length === 0) return;
    if (this.#window === undefined) this.#note(message);
    const packet = this.#toPacket(message.packet);
    const { except } = message;
    if (except === undefined)
      this.#sendTo(members, packet === message.packet ? message : { ...message, packet }, options);
    else this.#sendExcept(except, { ...message, packet }, options);
  }

  /** Subscribers that must not receive the publication get its position instead, so that they see no gap. */
  #sendExcept(except: readonly string[], message: FeedMessage, options?: DeliveryOptions): void {
    const { members } = this.#live;
    const excepted = members.filter((member) => isExcepted(member, except));
    const others = members.filter((member) => !isExcepted(member, except));
    this.#sendTo(others, message, options);
    if (excepted.length > 0) this.#sendTo(excepted, { ...message, packet: positionPacket(this.name, message) });
  }

  #sendTo(subscribers: readonly Subscriber[], message: FeedMessage, options?: DeliveryOptions): void {
    const isEveryoneReady = this.#deps.buffers.size === 0 && this.#readAhead.size === 0;
    const ready = isEveryoneReady
      ? subscribers
      : subscribers.filter((subscriber) => this.#isReady(subscriber, message));
    if (ready.length === 0) return;
    this.#deps.deliver(ready, message.packet, options);
    this.#deps.onDelivered?.(message, this.name, ready);
  }

  /** Returns to whom it was sent; for the others it is buffered. */
  #sendLive(subscribers: readonly Subscriber[], packet: Buffer): readonly Subscriber[] {
    const ready =
      this.#unacknowledged.size === 0
        ? subscribers
        : subscribers.filter((subscriber) => !this.#isHeldBack(subscriber, packet));
    if (ready.length > 0) this.#deps.deliver(ready, packet, volatile);
    return ready;
  }

  #isHeldBack(subscriber: Subscriber, packet: Buffer): boolean {
    return this.#unacknowledged.has(subscriber) && this.#deps.buffers.bufferLive(subscriber, this.name, packet);
  }

  #toPacket(packet: Buffer): Buffer {
    return this.#deliversEvents ? toEventPacket(packet) : packet;
  }

  #note({ epoch, offset, timestamp }: FeedMessage): void {
    this.#deps.recent?.note({ channel: this.name, epoch, offset, timestamp });
  }

  #isReady(subscriber: Subscriber, message: FeedMessage): boolean {
    return !this.#hasRead(subscriber, message) && !this.#deps.buffers.buffer(subscriber, this.name, message);
  }

  #hasRead(subscriber: Subscriber, message: FeedMessage): boolean {
    const answered = this.#readAhead.get(subscriber);
    if (answered === undefined) return false;
    const hasRead = message.epoch !== answered.epoch || message.offset <= answered.offset;
    if (message.epoch === answered.epoch && message.offset >= answered.offset) this.#readAhead.delete(subscriber);
    return hasRead;
  }

  #isAtOrAhead(subscriber: Subscriber, now: Position): boolean {
    const answered = this.#readAhead.get(subscriber);
    if (answered === undefined || answered.epoch !== now.epoch || answered.offset < now.offset) return false;
    if (answered.offset === now.offset) this.#readAhead.delete(subscriber);
    return true;
  }
}

const isAtOrBehind = (position: Position, other: Position): boolean =>
  position.epoch === other.epoch && position.offset <= other.offset;
