import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { GatewayError } from "../protocol/errors.ts";
import { kindOf, subjectOf } from "../protocol/names.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/**
 * Subscriptions of orders on this node: they end when the order's life does, so that whoever was a party of it hears
 * nothing of a later order of the same id. Each node looks for itself; a later order is begun only after every node was
 * asked to end what it may still have of the one before (`changes.ts`).
 */
export interface Lives {
  onSubscription(change: SubscriptionChange): void;
  /** Ends this node's subscriptions of the order; returns how many. */
  end(orderId: string): number;
  stop(): void;
}

export interface LivesDeps {
  /** Milliseconds that each order has left; nothing where its life is over. */
  remainingMs: (orderIds: readonly string[]) => Promise<(number | undefined)[]>;
  /** Ends a subscription and tells the subscriber why. */
  removeSubscription: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two rounds, while anybody is subscribed. */
const roundEveryMs = 1_000;
/** An order is asked for again after this, however long it has left: a life may become shorter. */
const askEveryMs = 60_000;
/** Orders asked for in one round; the others wait for the next. */
const mostAtOnce = 1_000;

interface Watched {
  readonly subscribers: Set<Subscriber>;
  /** Monotonic milliseconds. */
  dueAt: number;
}

export function createLives({ remainingMs, removeSubscription, clock, log }: LivesDeps): Lives {
  const watched = new Map<string, Watched>();
  let cancel: Cancel | undefined;

  function onSubscription({ subscriber, channel, isSubscribed }: SubscriptionChange): void {
    if (kindOf(channel) !== "order") return;
    const orderId = subjectOf(channel);
    if (isSubscribed) return watch(orderId, subscriber);
    const subscribers = watched.get(orderId)?.subscribers;
    if (subscribers?.delete(subscriber) && subscribers.size === 0) watched.delete(orderId);
  }

  function watch(orderId: string, subscriber: Subscriber): void {
    const order = watched.get(orderId) ?? { subscribers: new Set(), dueAt: clock.monotonic() + roundEveryMs };
    watched.set(orderId, order);
    order.subscribers.add(subscriber);
    cancel ??= clock.after(roundEveryMs, () => void round());
  }

  function end(orderId: string): number {
    const met = [...(watched.get(orderId)?.subscribers ?? [])];
    const error = new GatewayError("not_found", "The order has expired.");
    for (const subscriber of met) removeSubscription(subscriber, `order:${orderId}`, error);
    return met.length;
  }

  async function round(): Promise<void> {
    const now = clock.monotonic();
    const due = [...watched].filter(([, { dueAt }]) => dueAt <= now).slice(0, mostAtOnce);
    try {
      const remaining = due.length === 0 ? [] : await remainingMs(due.map(([orderId]) => orderId));
      for (const [index, [orderId, order]] of due.entries()) look(orderId, order, remaining[index]);
    } catch (error) {
      log.debug({ err: error }, "reading order lifetimes failed; retrying");
    }
    cancel = watched.size === 0 || cancel === undefined ? undefined : clock.after(roundEveryMs, () => void round());
  }

  function look(orderId: string, order: Watched, remaining: number | undefined): void {
    if (remaining === undefined) end(orderId);
    else order.dueAt = clock.monotonic() + Math.min(remaining, askEveryMs);
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
