import type { Position } from "../protocol/scalars.ts";
import type { ChannelLog, LogSlice } from "./channel-log.ts";
import { Entrants } from "./entrants.ts";
import { packetOf, type Feed, type FeedMessage } from "./feed.ts";
import { HeldMessages } from "./held-messages.ts";
import type { HistoryOptions } from "./kinds.ts";
import { place, recoveryFrom } from "./recovery.ts";
import { SubscriberList, type Deliver, type Subscriber } from "./subscribers.ts";

export interface FollowedChannelDeps {
  feed: Feed;
  log: ChannelLog;
  deliver: Deliver;
  /** What these were owed can no longer be had; they are subscribers no more and must be told. */
  lost: (channel: string, subscribers: readonly Subscriber[]) => void;
  onGap: (outcome: GapOutcome) => void;
  /** Calls back a little later: the store was away. */
  later: (run: () => void) => void;
}

/** How a gap ended: filled from the log, told to the subscribers, or waiting for the store. */
export type GapOutcome = "repaired" | "told" | "deferred";

/**
 * One channel that this node follows: it joins the feed once for all its subscribers, passes publications on in offset
 * order, and mends what the feed lost from the log. A subscriber enters in two steps: `enter`, then, when it has been
 * answered, `begin` (see `entrants.ts`).
 */
export class FollowedChannel {
  readonly name: string;
  /** Resolves when the feed is joined and the position known; rejects where the store cannot be reached. */
  readonly joined: Promise<void>;
  readonly #history: HistoryOptions;
  readonly #deps: FollowedChannelDeps;
  readonly #live = new SubscriberList();
  readonly #entrants: Entrants;
  /** Messages that cannot be placed before the log has been read. */
  readonly #held = new HeldMessages();
  #position: Position | undefined;
  #isReading = false;
  #mustReadAgain = false;
  #isClosed = false;

  constructor(name: string, history: HistoryOptions, deps: FollowedChannelDeps) {
    this.name = name;
    this.#history = history;
    this.#deps = deps;
    this.#entrants = new Entrants({
      deliver: (subscriber, packet) => deps.deliver([subscriber], packet),
      promote: (subscriber) => this.#live.add(subscriber),
      lost: (subscriber) => deps.lost(name, [subscriber]),
    });
    this.joined = this.#join();
    this.joined.catch(() => undefined);
  }

  get subscriberCount(): number {
    return this.#live.members.length + this.#entrants.size;
  }

  /** Only after `joined`. */
  enter(subscriber: Subscriber): void {
    this.#live.remove(subscriber);
    this.#entrants.enter(subscriber, this.#position as Position);
  }

  /** `answered` is the position up to which the subscriber's answer goes. */
  begin(subscriber: Subscriber, answered: Position): void {
    const begin = this.#entrants.answer(subscriber, answered);
    if (begin === undefined) return;
    // The acknowledgement leaves within this turn of the event loop; the flow begins behind it.
    setImmediate(() => {
      begin(this.#position as Position);
      if (answered.epoch !== this.#position?.epoch) this.repair();
    });
  }

  leave(subscriber: Subscriber): void {
    this.#entrants.leave(subscriber);
    this.#live.remove(subscriber);
  }

  /** A packet without a place in the log. */
  deliverLive(packet: Buffer): void {
    if (this.#live.members.length > 0) this.#deps.deliver(this.#live.members, packet);
  }

  /** Reads the log again: after a lost connection, and where a message does not fit, something may be missing. */
  repair(): void {
    if (this.#isReading || this.#position === undefined) {
      this.#mustReadAgain = true;
      return;
    }
    if (this.#isClosed) return;
    this.#isReading = true;
    this.#mustReadAgain = false;
    const suspects = this.#held.take();
    const since = { kind: "since", position: this.#position, isWitness: true } as const;
    this.#deps.log.read(this.name, this.#history, since).then(
      (slice) => this.#mend(slice, suspects),
      () => this.#postpone(suspects),
    );
  }

  /** Lets go of the feed; the channel is not used again. */
  close(): void {
    this.#isClosed = true;
    this.#deps.feed.unfollow(this.name);
  }

  async #join(): Promise<void> {
    this.#isReading = true;
    await this.#deps.feed.follow(this.name, (message) => this.#receive(message));
    const slice = await this.#deps.log.read(this.name, this.#history, { kind: "position" });
    this.#position = { epoch: slice.epoch, offset: slice.offset };
    this.#isReading = false;
    this.#settle([]);
  }

  #receive(message: FeedMessage): void {
    if (this.#isReading || this.#position === undefined) return this.#hold(message);
    const placement = place(this.#position, message);
    if (placement === "next") return this.#pass(message);
    if (placement === "repeat") return;
    this.#hold(message);
    this.repair();
  }

  #hold(message: FeedMessage): void {
    if (!this.#held.add(message)) this.#mustReadAgain = true;
  }

  #pass(message: FeedMessage): void {
    this.#position = { epoch: message.epoch, offset: message.offset };
    if (this.#live.members.length > 0) this.#deps.deliver(this.#live.members, message.packet);
    if (this.#entrants.size > 0) this.#entrants.pass(message);
  }

  #mend(slice: LogSlice, suspects: readonly FeedMessage[]): void {
    this.#isReading = false;
    if (this.#isClosed) return;
    const isMended = recoveryFrom(slice, this.#position as Position).recovered;
    if (isMended)
      for (const { offset, json, stamp } of slice.entries)
        this.#pass({ epoch: slice.epoch, offset, packet: packetOf({ json, stamp }) });
    else this.#jump({ epoch: slice.epoch, offset: slice.offset });
    if (!isMended || slice.entries.length > 0) this.#deps.onGap(isMended ? "repaired" : "told");
    // A suspect came before this read: where the log does not know it, it was forged or has been lost with the store.
    this.#settle(suspects.filter((message) => message.epoch === slice.epoch && message.offset <= slice.offset));
  }

  #settle(suspects: readonly FeedMessage[]): void {
    for (const message of [...suspects, ...this.#held.take()]) this.#receive(message);
    if (this.#mustReadAgain) this.repair();
  }

  #jump(now: Position): void {
    const told = [...this.#live.members];
    for (const subscriber of told) this.#live.remove(subscriber);
    this.#position = now;
    this.#entrants.jump(now);
    if (told.length > 0) this.#deps.lost(this.name, told);
  }

  #postpone(suspects: readonly FeedMessage[]): void {
    this.#isReading = false;
    for (const message of suspects) this.#hold(message);
    this.#deps.onGap("deferred");
    this.#deps.later(() => this.repair());
  }
}
