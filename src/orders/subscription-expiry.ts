import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { GatewayError } from "../protocol/errors.ts";
import { kindOf, subjectOf } from "../protocol/names.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/**
 * Ends this node's subscriptions to orders when the orders expire or the user is no longer a party, so that a party of
 * an expired order receives nothing about a later order with the same id. Each node checks its own subscriptions; before
 * a later order is created, every node is asked to end those it still has (`order-writer.ts`).
 */
export interface SubscriptionExpiry {
  onSubscription(change: SubscriptionChange): void;
  /** Ends this node's subscriptions to the order; returns how many. */
  end(orderId: string): number;
  /** Ends those of users who are no longer parties. */
  endOf(orderId: string, users: readonly string[]): number;
  stop(): void;
}

export interface SubscriptionExpiryDeps {
  /** Remaining TTL of each order in milliseconds; undefined if it has expired. */
  remainingMs: (orderIds: readonly string[]) => Promise<(number | undefined)[]>;
  isParty: (orderId: string, userId: string) => Promise<boolean>;
  /** Ends a subscription and notifies the subscriber with the reason. */
  removeSubscription: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two rounds while there are subscriptions. */
const checkEveryMs = 1_000;
/** Max milliseconds until an order is checked again, because its TTL may become shorter. */
const maxCheckIntervalMs = 60_000;
/** Max milliseconds between checking a permission and starting the subscription. */
const permissionMs = 10_000;
/** Max orders checked in one round; the others wait for the next. */
const maxAtOnce = 1_000;

const noLongerParty = (): GatewayError =>
  new GatewayError("forbidden", "You are no longer a party of this order.", { field: "channel" });

const partyKey = (orderId: string, userId: string): string => JSON.stringify([orderId, userId]);

interface TrackedOrder {
  readonly subscribers: Set<Subscriber>;
  /** Monotonic milliseconds. */
  dueAt: number;
}

export function createSubscriptionExpiry(deps: SubscriptionExpiryDeps): SubscriptionExpiry {
  const { remainingMs, removeSubscription, clock, log } = deps;
  /** By party, what forgets it. */
  const removedParties = new Map<string, Cancel>();
  const tracked = new Map<string, TrackedOrder>();
  let cancel: Cancel | undefined;

  function onSubscription({ subscriber, channel, isSubscribed }: SubscriptionChange): void {
    if (kindOf(channel) !== "order") return;
    const orderId = subjectOf(channel);
    if (isSubscribed) return track(orderId, subscriber);
    const subscribers = tracked.get(orderId)?.subscribers;
    if (subscribers?.delete(subscriber) && subscribers.size === 0) tracked.delete(orderId);
  }

  function track(orderId: string, subscriber: Subscriber): void {
    const order = tracked.get(orderId) ?? { subscribers: new Set(), dueAt: clock.monotonic() + checkEveryMs };
    tracked.set(orderId, order);
    order.subscribers.add(subscriber);
    if (removedParties.has(partyKey(orderId, subscriber.userId))) void recheck(orderId, subscriber);
    cancel ??= clock.after(checkEveryMs, () => void round());
  }

  function end(orderId: string): number {
    const subscribers = [...(tracked.get(orderId)?.subscribers ?? [])];
    const error = new GatewayError("not_found", "The order has expired.");
    for (const subscriber of subscribers) removeSubscription(subscriber, `order:${orderId}`, error);
    return subscribers.length;
  }

  function endOf(orderId: string, users: readonly string[]): number {
    rememberRemoved(orderId, users);
    const subscribers = [...(tracked.get(orderId)?.subscribers ?? [])].filter(({ userId }) => users.includes(userId));
    for (const subscriber of subscribers) removeSubscription(subscriber, `order:${orderId}`, noLongerParty());
    return subscribers.length;
  }

  /** A subscription that starts now may have been permitted before the party was removed. */
  function rememberRemoved(orderId: string, users: readonly string[]): void {
    for (const user of users) {
      const key = partyKey(orderId, user);
      removedParties.get(key)?.();
      removedParties.set(
        key,
        clock.after(permissionMs, () => removedParties.delete(key)),
      );
    }
  }

  async function recheck(orderId: string, subscriber: Subscriber): Promise<void> {
    const isParty = await deps.isParty(orderId, subscriber.userId).catch(() => false);
    if (!isParty && tracked.get(orderId)?.subscribers.has(subscriber) === true)
      removeSubscription(subscriber, `order:${orderId}`, noLongerParty());
  }

  async function round(): Promise<void> {
    const now = clock.monotonic();
    const due = [...tracked].filter(([, { dueAt }]) => dueAt <= now).slice(0, maxAtOnce);
    try {
      const remaining = due.length === 0 ? [] : await remainingMs(due.map(([orderId]) => orderId));
      for (const [index, [orderId, order]] of due.entries()) check(orderId, order, remaining[index]);
    } catch (error) {
      log.debug({ err: error }, "reading order lifetimes failed; retrying");
    }
    cancel = tracked.size === 0 || cancel === undefined ? undefined : clock.after(checkEveryMs, () => void round());
  }

  function check(orderId: string, order: TrackedOrder, remaining: number | undefined): void {
    // Meanwhile its subscriptions may have ended, and others have begun: to a later order with the same id.
    if (tracked.get(orderId) !== order) return;
    if (remaining === undefined) end(orderId);
    else order.dueAt = clock.monotonic() + Math.min(remaining, maxCheckIntervalMs);
  }

  return {
    onSubscription,
    end,
    endOf,
    stop() {
      cancel?.();
      cancel = undefined;
    },
  };
}
