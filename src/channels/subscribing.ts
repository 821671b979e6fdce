import type { GatewayError } from "../protocol/errors.ts";
import type { LocalChannels } from "./local-channels.ts";
import type { LogReader } from "./log-reader.ts";
import { startAt, type StoredStart } from "./stored-start.ts";
import type { SubscribeBuffers } from "./subscribe-buffers.ts";
import type { Subscriber } from "./subscribers.ts";
import type { ChannelStates, RecoveryRecords, Subscription, UncheckedStart } from "./subscription.ts";
import { startOnce, type LocalSubscription, type Subscriptions } from "./subscriptions.ts";

export interface SubscribingDeps {
  buffers: SubscribeBuffers;
  subscriptions: Subscriptions;
  local: LocalChannels;
  logReader: Pick<LogReader, "answer">;
  states?: ChannelStates | undefined;
  /** Omit to disable connection recovery. */
  records?: RecoveryRecords;
  /** Awaited before the subscribe acknowledgement is sent. */
  beforeAcknowledged?: (channel: string) => Promise<unknown> | undefined;
  timestampOf: (subscriber: Subscriber) => number;
  /** Delivers what was buffered for the subscriber. */
  release: (subscriber: Subscriber) => void;
  /** Tells the subscriber that a subscription ended while its acknowledgement was leaving. */
  notifyUnsubscribed: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  /** Ends a subscription that was never acknowledged. */
  end: (subscriber: Subscriber, channel: string) => void;
}

/** Answers subscribe requests whose permission was checked. */
export class Subscribing {
  readonly #deps: SubscribingDeps;

  constructor(deps: SubscribingDeps) {
    this.#deps = deps;
  }

  /**
   * Publications follow after the acknowledgement has left. Throws `unknown_channel`, `subscription_limit`, what `confirm`
   * throws, what ended the subscription meanwhile, and `not_subscribed` if that was the client.
   */
  async subscribe(
    subscriber: Subscriber,
    channel: string,
    { since, confirm, by, startsHere = false }: UncheckedStart,
  ): Promise<Subscription> {
    const { buffers, subscriptions, local: locals, logReader, states, beforeAcknowledged } = this.#deps;
    const subscription = subscriptions.begin(subscriber, channel);
    buffers.begin(subscriber, this.#deps.timestampOf(subscriber));
    let isAnswered = false;
    try {
      const isFirst = locals.get(channel) === undefined;
      const local = locals.ready(channel) ?? (await locals.subscribed(channel));
      subscriptions.check(subscriber, channel, subscription);
      local.attach(subscriber, subscription.isAcknowledged);
      // The position was read a moment ago for the first subscriber; reading it again would return the same.
      const current = isFirst || startsHere ? local.position : undefined;
      const reading = logReader.answer(subscriber, channel, { since, current });
      const state = states?.snapshot(subscriber, channel);
      const synced = beforeAcknowledged?.(channel);
      const isKnown = !(reading instanceof Promise) && state === undefined && synced === undefined;
      const [answer, snapshot] = isKnown ? [reading] : await Promise.all([reading, state, synced]);
      if (confirm !== undefined) await confirm();
      // Whatever ended it has corrected the record already.
      subscriptions.check(subscriber, channel, subscription);
      const start = startAt(answer, by, subscription.start?.by);
      const stored = this.#storeStart(subscriber, channel, subscription, start);
      if (stored !== undefined) await stored;
      subscriptions.check(subscriber, channel, subscription);
      buffers.answer(subscriber, channel, answer);
      // Until the acknowledgement has left: what ends the subscription meanwhile is told after it.
      subscription.isAcknowledged = false;
      isAnswered = true;
      return {
        ...answer,
        ...(snapshot === undefined ? {} : { snapshot }),
        ...(local.isConflated ? { conflated: true } : {}),
      };
    } catch (error) {
      if (subscriptions.isCurrent(subscriber, channel, subscription)) this.#reject(subscriber, channel, subscription);
      throw error;
    } finally {
      subscription.pending -= 1;
      // The acknowledgement leaves in this tick; buffered publications must follow it.
      setImmediate(() => {
        if (isAnswered) this.#acknowledged(subscriber, channel, subscription);
        this.#deps.release(subscriber);
        states?.resume(subscriber, channel);
      });
    }
  }

  #acknowledged(subscriber: Subscriber, channel: string, subscription: LocalSubscription): void {
    const { isAcknowledged, endedBy } = subscription;
    subscription.isAcknowledged = true;
    if (!isAcknowledged && endedBy !== undefined) this.#deps.notifyUnsubscribed(subscriber, channel, endedBy);
  }

  /** Undefined if there is no record yet. */
  #storeStart(subscriber: Subscriber, channel: string, subscription: LocalSubscription, start: StoredStart) {
    const before = subscription.start;
    subscription.start = start;
    const stored = this.#deps.records?.save(subscriber, channel, start);
    return stored && startOnce(stored, subscription, before);
  }

  /** A subscription that existed before the request continues unchanged. */
  #reject(subscriber: Subscriber, channel: string, { pending, start, isAcknowledged }: LocalSubscription): void {
    // One that is being removed has no start either; if that fails, it continues.
    if (start === undefined && !isAcknowledged && pending === 1) this.#deps.end(subscriber, channel);
    else this.#deps.buffers.reject(subscriber, channel);
    this.#deps.records?.rewrite(subscriber);
  }
}
