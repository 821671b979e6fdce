import type { Position } from "../protocol/scalars.ts";
import type { FeedMessage } from "./feed.ts";
import { HeldMessages } from "./held-messages.ts";
import type { Subscriber } from "./subscribers.ts";

/** Somebody between `enter` and the live list. */
interface Entrant {
  /** Where the node stood when it began to hold for this one; an answer older than this leaves a hole. */
  floor: Position;
  held: HeldMessages;
  /** What the answer contained, once it has been given. */
  answered: Position | undefined;
  /** True once the acknowledgement has left: from here it may be written to. */
  isBegun: boolean;
}

export interface EntrantsDeps {
  deliver: (subscriber: Subscriber, packet: Buffer) => void;
  promote: (subscriber: Subscriber) => void;
  lost: (subscriber: Subscriber) => void;
}

/**
 * Subscribers on their way in. For each, publications are held from `enter` on; its answer is read from the log after
 * that, so it is never older than what is held; and after `begin` it is sent exactly what comes after the answer. The
 * log may be ahead of the feed: then what the answer contained is skipped when the feed brings it.
 */
export class Entrants {
  readonly #entrants = new Map<Subscriber, Entrant>();
  readonly #deps: EntrantsDeps;

  constructor(deps: EntrantsDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#entrants.size;
  }

  enter(subscriber: Subscriber, floor: Position): void {
    this.#entrants.set(subscriber, { floor, held: new HeldMessages(), answered: undefined, isBegun: false });
  }

  leave(subscriber: Subscriber): void {
    this.#entrants.delete(subscriber);
  }

  /** `begin` for a subscriber that is still here: remembers the answer and returns what is to be called once it left. */
  answer(subscriber: Subscriber, answered: Position): ((now: Position) => void) | undefined {
    const entrant = this.#entrants.get(subscriber);
    if (entrant === undefined) return undefined;
    entrant.answered = answered;
    return (now) => {
      if (this.#entrants.get(subscriber) === entrant) this.#begin(subscriber, entrant, answered, now);
    };
  }

  pass(message: FeedMessage): void {
    for (const [subscriber, entrant] of this.#entrants) {
      if (entrant.isBegun) this.#follow(subscriber, entrant, message);
      else if (!entrant.held.add(message)) this.#lose(subscriber);
    }
  }

  /** The node's position jumped to `now`: whoever was answered before that has a hole and is told. */
  jump(now: Position): void {
    for (const [subscriber, entrant] of this.#entrants) {
      entrant.floor = now;
      entrant.held.take();
      if (entrant.isBegun && entrant.answered !== undefined) this.#settle(subscriber, entrant.answered, now);
    }
  }

  #begin(subscriber: Subscriber, entrant: Entrant, answered: Position, now: Position): void {
    const { floor } = entrant;
    if (answered.epoch === floor.epoch && answered.offset < floor.offset) return this.#lose(subscriber);
    entrant.isBegun = true;
    for (const message of entrant.held.take()) {
      if (message.epoch === answered.epoch && message.offset > answered.offset)
        this.#deps.deliver(subscriber, message.packet);
    }
    if (answered.epoch === now.epoch && now.offset >= answered.offset) this.#promote(subscriber);
  }

  #follow(subscriber: Subscriber, entrant: Entrant, message: FeedMessage): void {
    const answered = entrant.answered as Position;
    if (message.epoch !== answered.epoch) return;
    if (message.offset > answered.offset) this.#deps.deliver(subscriber, message.packet);
    if (message.offset >= answered.offset) this.#promote(subscriber);
  }

  #settle(subscriber: Subscriber, answered: Position, now: Position): void {
    if (answered.epoch !== now.epoch || answered.offset < now.offset) return this.#lose(subscriber);
    if (answered.offset === now.offset) this.#promote(subscriber);
  }

  #promote(subscriber: Subscriber): void {
    this.#entrants.delete(subscriber);
    this.#deps.promote(subscriber);
  }

  #lose(subscriber: Subscriber): void {
    this.#entrants.delete(subscriber);
    this.#deps.lost(subscriber);
  }
}
