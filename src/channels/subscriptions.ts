import { GatewayError } from "../protocol/errors.ts";
import { SmallMap } from "../runtime/small-map.ts";
import type { Subscriber } from "./subscribers.ts";

/** Somebody began or ceased to read a channel on this node. */
export interface SubscriptionChange {
  subscriber: Subscriber;
  channel: string;
  isSubscribed: boolean;
}

/** One subscription; a later one of the same subscriber to the same channel has another claim. */
export type Claim = number;

/** Who reads what on this node, from the moment it asks; bounded for each subscriber. */
export class Subscriptions {
  readonly #most: number;
  readonly #onChange: (change: SubscriptionChange) => void;
  readonly #channels = new Map<Subscriber, SmallMap<string, Claim>>();
  #claims = 0;

  constructor(most: number, onChange: (change: SubscriptionChange) => void) {
    this.#most = most;
    this.#onChange = onChange;
  }

  /** Throws `subscription_limit`. */
  claim(subscriber: Subscriber, channel: string): Claim {
    const channels = this.#channels.get(subscriber) ?? new SmallMap<string, Claim>();
    const isNew = !channels.has(channel);
    if (isNew && channels.size >= this.#most) throw new GatewayError("subscription_limit");
    const claim = (this.#claims += 1);
    channels.set(channel, claim);
    this.#channels.set(subscriber, channels);
    if (isNew) this.#onChange({ subscriber, channel, isSubscribed: true });
    return claim;
  }

  /** A disconnect or an unsubscribe may have come while the store was asked; then throws `not_subscribed`. */
  check(subscriber: Subscriber, channel: string, claim: Claim): void {
    if (!this.holds(subscriber, channel, claim)) throw new GatewayError("not_subscribed");
  }

  holds(subscriber: Subscriber, channel: string, claim: Claim): boolean {
    return this.#channels.get(subscriber)?.get(channel) === claim;
  }

  has(subscriber: Subscriber, channel: string): boolean {
    return this.#channels.get(subscriber)?.has(channel) ?? false;
  }

  of(subscriber: Subscriber): string[] {
    return [...(this.#channels.get(subscriber)?.keys() ?? [])];
  }

  /** False where there was none. */
  end(subscriber: Subscriber, channel: string): boolean {
    const channels = this.#channels.get(subscriber);
    if (channels === undefined || !channels.delete(channel)) return false;
    if (channels.size === 0) this.#channels.delete(subscriber);
    this.#onChange({ subscriber, channel, isSubscribed: false });
    return true;
  }
}
