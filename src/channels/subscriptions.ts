import type { StoredStart, SubscribedBy } from "./stored-start.ts";
import { GatewayError } from "../protocol/errors.ts";
import { SmallMap } from "../runtime/small-map.ts";
import type { Kinds } from "./kinds.ts";
import type { Subscriber } from "./subscribers.ts";

/** A subscription on this node started or ended. */
export interface SubscriptionChange {
  subscriber: Subscriber;
  channel: string;
  isSubscribed: boolean;
  /** The connection was lost and may be recovered. */
  mayReturn?: boolean;
}

/** One subscription, from the request until it ends. Further requests for the same channel share it. */
export interface LocalSubscription {
  /** Pending requests. */
  pending: number;
  /** The position at which it started; undefined before the acknowledgement, and while it is being removed. */
  start: StoredStart | undefined;
  /** The client knows of it: an acknowledgement has left, or it was recovered. */
  isAcknowledged: boolean;
  /** Why the gateway ended it. */
  endedBy?: GatewayError;
}

/** Subscriptions of this node's connections, bounded for each connection. */
export class Subscriptions {
  readonly #kinds: Pick<Kinds, "of">;
  readonly #most: number;
  readonly #onChange: (change: SubscriptionChange) => void;
  readonly #channels = new Map<Subscriber, SmallMap<string, LocalSubscription>>();

  constructor(kinds: Pick<Kinds, "of">, most: number, onChange: (change: SubscriptionChange) => void) {
    this.#kinds = kinds;
    this.#most = most;
    this.#onChange = onChange;
  }

  /** Throws `subscription_limit` and `unknown_channel`, and has stored nothing then. */
  begin(subscriber: Subscriber, channel: string): LocalSubscription {
    const channels = this.#channels.get(subscriber) ?? new SmallMap<string, LocalSubscription>();
    const known = channels.get(channel);
    if (known === undefined) return this.#begin(subscriber, channel, channels);
    known.pending += 1;
    return known;
  }

  #begin(subscriber: Subscriber, channel: string, channels: SmallMap<string, LocalSubscription>): LocalSubscription {
    if (channels.size >= this.#most) throw new GatewayError("subscription_limit");
    this.#kinds.of(channel);
    const claim = { pending: 1, start: undefined, isAcknowledged: false };
    channels.set(channel, claim);
    this.#channels.set(subscriber, channels);
    this.#onChange({ subscriber, channel, isSubscribed: true });
    return claim;
  }

  /** Throws what ended it in the meantime; `not_subscribed` if that was the client. */
  check(subscriber: Subscriber, channel: string, claim: LocalSubscription): void {
    if (!this.isCurrent(subscriber, channel, claim)) throw claim.endedBy ?? new GatewayError("not_subscribed");
  }

  isCurrent(subscriber: Subscriber, channel: string, claim: LocalSubscription | undefined): boolean {
    return claim !== undefined && this.#channels.get(subscriber)?.get(channel) === claim;
  }

  has(subscriber: Subscriber, channel: string): boolean {
    return this.#channels.get(subscriber)?.has(channel) ?? false;
  }

  get(subscriber: Subscriber, channel: string): LocalSubscription | undefined {
    return this.#channels.get(subscriber)?.get(channel);
  }

  /** The acknowledged subscriptions, each with its start position. */
  startsOf(subscriber: Subscriber): Map<string, StoredStart> {
    const starts = new Map<string, StoredStart>();
    for (const channel of this.channelsOf(subscriber)) {
      const position = this.get(subscriber, channel)?.start;
      if (position !== undefined) starts.set(channel, position);
    }
    return starts;
  }

  /** Those that the rules of their kinds decide about. */
  byRuleOf(subscriber: Subscriber): string[] {
    return this.channelsOf(subscriber).filter((channel) => this.subscribedBy(subscriber, channel) !== "app");
  }

  /** Undefined if the client has subscribed, and until its subscription is stored. */
  subscribedBy(subscriber: Subscriber, channel: string): SubscribedBy | undefined {
    return this.get(subscriber, channel)?.start?.by;
  }

  channelsOf(subscriber: Subscriber): string[] {
    return [...(this.#channels.get(subscriber)?.keys() ?? [])];
  }

  /** Returns false if there was none. */
  end(subscriber: Subscriber, channel: string, mayReturn = false): boolean {
    const channels = this.#channels.get(subscriber);
    if (channels === undefined || !channels.delete(channel)) return false;
    if (channels.size === 0) this.#channels.delete(subscriber);
    this.#onChange({ subscriber, channel, isSubscribed: false, mayReturn });
    return true;
  }
}

/** Resolves once the new start is stored; the one before counts again if that fails. */
export async function startOnce(
  stored: Promise<void>,
  subscription: LocalSubscription,
  before: StoredStart | undefined,
): Promise<void> {
  try {
    await stored;
  } catch (error) {
    subscription.start = before;
    throw error;
  }
}
