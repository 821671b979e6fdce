import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { GatewayError } from "../protocol/errors.ts";
import { kindOf, subjectOf } from "../protocol/names.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/**
 * Ends this node's subscriptions to orders when the orders expire, so that a party of an expired order receives nothing
 * about a later order with the same id. Each node checks its own subscriptions; before a later order is created, every
 * node is asked to end those it still has (`order-writer.ts`).
 */
export interface SubscriptionExpiry {
  onSubscription(change: SubscriptionChange): void;
  /** Ends this node's subscriptions to the order; returns how many. */
  end(orderId: string): number;
  stop(): void;
}

export interface SubscriptionExpiryDeps {
  /** Remaining TTL of each order in milliseconds; undefined if it has expired. */
  remainingMs: (orderIds: readonly string[]) => Promise<(number | undefined)[]>;
  /** Ends a subscription and notifies the subscriber with the reason. */
  removeSubscription: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two rounds while there are subscriptions. */
const checkEveryMs = 1_000;
/** Max milliseconds until an order is checked again, because its TTL may become shorter. */
const maxCheckIntervalMs = 60_000;
/** Max orders checked in one round; the others wait for the next. */
const maxAtOnce = 1_000;

interface TrackedOrder {
  readonly subscribers: Set<Subscriber>;
  /** Monotonic milliseconds. */
  dueAt: number;
}

export function createSubscriptionExpiry({
  remainingMs,
  removeSubscription,
  clock,
  log,
}: SubscriptionExpiryDeps): SubscriptionExpiry {
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
    cancel ??= clock.after(checkEveryMs, () => void round());
  }

  function end(orderId: string): number {
    const subscribers = [...(tracked.get(orderId)?.subscribers ?? [])];
    const error = new GatewayError("not_found", "The order has expired.");
    for (const subscriber of subscribers) removeSubscription(subscriber, `order:${orderId}`, error);
    return subscribers.length;
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
    if (remaining === undefined) end(orderId);
    else order.dueAt = clock.monotonic() + Math.min(remaining, maxCheckIntervalMs);
  }

  return {
    onSubscription,
    end,
    stop() {
      cancel?.();
      cancel = undefined;
    },
  };
}
