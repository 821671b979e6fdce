import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import { SparseMap } from "../runtime/sparse-map.ts";
import type { ChannelLog } from "./channel-log.ts";
import { ConflationWindow, type Conflation } from "./conflation.ts";
import type { RecentDeliveries } from "./delivery-trail.ts";
import type { FeedMessage } from "./feed-message.ts";
import type { Feed } from "./feed.ts";
import { MessageBuffer } from "./message-buffer.ts";
import type { SubscribeBuffers } from "./subscribe-buffers.ts";
import type { HistoryOptions } from "./kinds.ts";
import { place, type Placement, type StreamPosition } from "./recovery.ts";
import { SubscriberList, type Deliver, type DeliveryOptions, type Subscriber } from "./subscribers.ts";

export interface LocalChannelDeps {
  feed: Feed;
  log: ChannelLog;
  buffers: SubscribeBuffers;
  deliver: Deliver;
  /** Every message of the feed, once the position is known. */
  receive: (channel: LocalChannel, message: FeedMessage) => void;
  mayDeliver: () => boolean;
  /** So many deliveries were left out, because a later publication made them needless. */
  onConflated: (deliveryCount: number) => void;
  clock: Clock;
  /** Notes what is passed to subscribers, in order. Absent where timestamps say it (`delivery-trail.ts`). */
  recent?: RecentDeliveries | undefined;
}

/** What of a channel's kind matters here. */
export interface LocalChannelOptions {
  history: HistoryOptions;
  conflation: Conflation | undefined;
}

/** It was never promised to anybody. */
const volatile: DeliveryOptions = { isVolatile: true };

/**
 * One channel that this node follows, once for all its subscribers: where it stands, and who reads it. It passes on
 * what it is handed; whether a message may be handed to it is decided in `gapRepair.ts`.
 */
export class LocalChannel {
  readonly name: string;
  readonly history: HistoryOptions;
  readonly #deps: LocalChannelDeps;
  /** Until it has succeeded. */
  #joining: Promise<void> | undefined;
  readonly #live = new SubscriberList();
  /** Entered, not yet answered; where the position has jumped to since. */
  readonly #entering = new SparseMap<Subscriber, { jumpedTo: Position | undefined }>();
  /** Answered from the log beyond what the feed has brought so far. */
  readonly #ahead = new SparseMap<Subscriber, Position>();
  readonly #window: ConflationWindow | undefined;
  /** Came before the position was known. */
  #early: MessageBuffer<FeedMessage> | undefined;
  #position: StreamPosition | undefined;
  /** Up to where subscribers have been passed what came; behind the position while a window is open. */
  #passed: Position | undefined;

  constructor(name: string, { history, conflation }: LocalChannelOptions, deps: LocalChannelDeps) {
    this.name = name;
    this.history = history;
    this.#deps = deps;
    this.#window = conflation && this.#openWindow(conflation);
    this.#joining = this.#join();
    this.#joining.catch(() => undefined);
  }

  /** Resolves when the feed is joined and the position known; rejects where the store cannot be reached. */
  get subscribed(): Promise<void> {
    return this.#joining ?? Promise.resolve();
  }

  /** Undefined until joined. */
  get position(): StreamPosition | undefined {
    return this.#position;
  }

  /** Up to where subscribers have been passed what came; undefined until joined. */
  get delivered(): Position | undefined {
    return this.#passed;
  }

  /** Some publications are not sent, because later ones make them needless. */
  get isConflated(): boolean {
    return this.#window !== undefined;
  }

  get subscriberCount(): number {
    return this.#live.members.length;
  }

  /** How a message relates to where the channel stands. */
  place(message: FeedMessage): Placement {
    return this.#position === undefined ? "gap" : place(this.#position, message);
  }

  /** Takes the next publication on to the subscribers, where the channel conflates at the end of its window. */
  advance(message: FeedMessage): void {
    this.#position = { epoch: message.epoch, offset: message.offset, timestamp: message.timestamp };
    if (this.#window === undefined || this.subscriberCount === 0) this.#hand(message);
    else this.#window.offer(message);
  }

  /** A packet without a place in the log. */
  deliverLive(packet: Buffer): void {
    if (this.#live.members.length > 0) this.#deps.deliver(this.#live.members, packet, volatile);
  }

  /** From here on the (held) subscriber gets what comes. Only after `joined`. */
  attach(subscriber: Subscriber): void {
    this.#entering.set(subscriber, { jumpedTo: undefined });
    this.#live.add(subscriber);
  }

  /**
   * The subscriber has read everything up to `answered`, or is where it was before it entered. False where it cannot go on
   * from there: the position jumped beyond it meanwhile, or to another epoch, of which nothing was answered.
   */
  resume(subscriber: Subscriber, answered = this.#ahead.get(subscriber)): boolean {
    const jumpedTo = this.#entering.get(subscriber)?.jumpedTo;
    this.#entering.delete(subscriber);
    if (jumpedTo !== undefined && (answered === undefined || !isAtOrBehind(jumpedTo, answered))) return false;
    if (answered === undefined || isAtOrBehind(answered, this.#passed as Position)) this.#ahead.delete(subscriber);
    else this.#ahead.set(subscriber, answered);
    return true;
  }

  detach(subscriber: Subscriber): void {
    this.#live.remove(subscriber);
    this.#entering.delete(subscriber);
    this.#ahead.delete(subscriber);
    if (this.subscriberCount === 0) this.#window?.clear();
  }

  /** Goes on from `now` although publications before it are missing; returns the subscribers that miss them. */
  skipTo(now: StreamPosition): Subscriber[] {
    this.#window?.flush();
    this.#position = this.#passed = now;
    for (const entering of this.#entering.values()) entering.jumpedTo = now;
    return this.#live.members.filter(
      (subscriber) => !this.#entering.has(subscriber) && !this.#isAtOrAhead(subscriber, now),
    );
  }

  /** Lets go of the feed; the channel is not used again. */
  close(): void {
    this.#window?.clear();
    this.#deps.feed.unfollow(this.name);
  }

  async #join(): Promise<void> {
    await this.#deps.feed.follow(this.name, (message) => {
      if (this.#position === undefined) this.#keepEarly(message);
      else this.#deps.receive(this, message);
    });
    const { epoch, offset, timestamp } = await this.#deps.log.read(this.name, this.history, { kind: "position" });
    this.#position = { epoch, offset, timestamp };
    this.#passed = this.#position;
    this.#joining = undefined;
    const early = this.#early?.take() ?? [];
    this.#early = undefined;
    for (const message of early) this.#deps.receive(this, message);
  }

  #keepEarly(message: FeedMessage): void {
    (this.#early ??= new MessageBuffer()).add(message);
  }

  #openWindow(conflation: Conflation): ConflationWindow {
    const { clock, mayDeliver, onConflated } = this.#deps;
    return new ConflationWindow(conflation, {
      clock,
      mayDeliver,
      send: (message, key) => this.#hand(message, key === undefined ? undefined : { key: `${this.name} ${key}` }),
      onReplaced: () => onConflated(this.subscriberCount),
    });
  }

  #hand(message: FeedMessage, manner?: DeliveryOptions): void {
    this.#passed = { epoch: message.epoch, offset: message.offset };
    const { members } = this.#live;
    if (members.length === 0) return;
    if (this.#window === undefined) this.#note(message);
    const isEveryoneReady = this.#deps.buffers.size === 0 && this.#ahead.size === 0;
    const ready = isEveryoneReady ? members : members.filter((subscriber) => this.#isReady(subscriber, message));
    if (ready.length > 0) this.#deps.deliver(ready, message.packet, manner);
  }

  #note({ epoch, offset, timestamp }: FeedMessage): void {
    this.#deps.recent?.note({ channel: this.name, epoch, offset, timestamp });
  }

  #isReady(subscriber: Subscriber, message: FeedMessage): boolean {
    return !this.#hasRead(subscriber, message) && !this.#deps.buffers.buffer(subscriber, this.name, message);
  }

  #hasRead(subscriber: Subscriber, message: FeedMessage): boolean {
    const answered = this.#ahead.get(subscriber);
    if (answered === undefined) return false;
    const hasRead = message.epoch !== answered.epoch || message.offset <= answered.offset;
    if (message.epoch === answered.epoch && message.offset >= answered.offset) this.#ahead.delete(subscriber);
    return hasRead;
  }

  #isAtOrAhead(subscriber: Subscriber, now: Position): boolean {
    const answered = this.#ahead.get(subscriber);
    if (answered === undefined || answered.epoch !== now.epoch || answered.offset < now.offset) return false;
    if (answered.offset === now.offset) this.#ahead.delete(subscriber);
    return true;
  }
}

const isAtOrBehind = (position: Position, other: Position): boolean =>
  position.epoch === other.epoch && position.offset <= other.offset;
