import { canonicalJson } from "../protocol/gate.ts";
import type { Logger } from "../runtime/logger.ts";
import type { NumberedItem, OrderRecord, OutboxItem } from "./order-record.ts";
import type { OrderIndexStore } from "./order-index-store.ts";
import type { OrderStore } from "./order-store.ts";
import type { PartyNotification, PartyStore } from "./party-store.ts";

/** A held event that could not be applied when its turn came, as a dead letter. */
export interface RefusedOrderEvent {
  /** Unique; a repeat with the same key is stored once. */
  key: string;
  /** The command that applies the event. */
  command: string;
  code: "illegal_transition";
  reason: string;
}

/** Stores an event that was refused after its sender got a response. Idempotent by key. */
export type DeadLetterEvent = (refused: RefusedOrderEvent) => Promise<void>;

/** A status change, for subscribers to all orders, such as webhooks. */
export interface StatusNotification {
  orderId: string;
  /** Idempotency key: identical for each repeat of this status change, and unique. */
  key: string;
  /** Data of the event, as the parties receive it. */
  data: object;
}

/** Resolves when the notification is stored. Idempotent by key. */
export type NotifyStatus = (notification: StatusNotification) => Promise<void>;

/** Delivers the items of outboxes: status changes to parties, refused events to the dead letters. */
export interface OutboxDispatcher {
  /**
   * True if everything was delivered. Never throws: undelivered items stay in the outbox, and the check that was
   * scheduled before the save retries.
   */
  dispatch(orderId: string, outbox: readonly NumberedItem[]): Promise<boolean>;
  /** Signals bypass the outbox: a party that misses one gets the next. */
  notifySignal(record: OrderRecord, signal: { name: string; data: unknown; number: number }): Promise<void>;
}

export interface OutboxDispatcherDeps {
  store: OrderStore;
  parties: PartyStore;
  deadLetter: DeadLetterEvent;
  index: OrderIndexStore;
  /** Omit if there are no webhooks. */
  notifyStatus?: NotifyStatus | undefined;
  log: Logger;
}

export function createOutboxDispatcher({
  store,
  parties,
  index,
  deadLetter,
  notifyStatus,
  log,
}: OutboxDispatcherDeps): OutboxDispatcher {
  async function notifyParties(users: readonly string[], notification: PartyNotification): Promise<void> {
    await Promise.all([...new Set(users)].map((userId) => parties.notify(userId, notification)));
  }

  async function dispatchItem({ number, item }: NumberedItem): Promise<void> {
    if (item.kind === "refused") return deadLetter(toRefused(item, number));
    const { order, hasEnded } = item;
    const { orderId, createdAt, status } = order;
    await Promise.all([
      notifyParties(Object.values(order.parties), toNotification(item, number)),
      index.put({ orderId, createdAt, status, number, hasEnded }),
      item.kind === "update"
        ? notifyParties(item.removed, removedNotification(order, number))
        : notifyWebhooks(item, number),
    ]);
  }

  async function notifyWebhooks({ order, entry }: OutboxItem & { kind: "status" }, number: number): Promise<void> {
    const key = JSON.stringify([order.orderId, order.createdAt, number]);
    await notifyStatus?.({ orderId: order.orderId, key, data: { orderId: order.orderId, ...entry } });
  }

  return {
    async dispatch(orderId, outbox) {
      try {
        // Sequentially: a party must receive statuses in order.
        for (const item of outbox) await dispatchItem(item);
        const last = outbox.at(-1);
        if (last !== undefined) await store.delivered(orderId, last.number);
        return true;
      } catch (error) {
        log.warn({ err: error, waiting: outbox.length }, "delivering order events failed; retrying");
        return false;
      }
    },

    async notifySignal({ orderId, parties: users, createdAt }, { name, data, number }) {
      const event = "order.signal";
      const notification = {
        orderId,
        createdAt,
        subject: `signal:${name}`,
        number,
        event,
        data: { orderId, name, data },
      } as const;
      await notifyParties(Object.values(users), notification);
    },
  };
}

function toNotification(item: OutboxItem & { kind: "status" | "update" }, number: number): PartyNotification {
  const { order, hasEnded, entry } = item;
  const { orderId, createdAt, parties } = order;
  const [event, more] = item.kind === "status" ? ["order.status"] : ["order.updated", { parties }];
  const data = { orderId, ...entry, ...more };
  return { orderId, createdAt, subject: "order", number, event, data, listEntry: { order, hasEnded } };
}

/** For users who lose the order: they are no longer parties, or it was deleted. */
export const removedNotification = (
  { orderId, createdAt }: { orderId: string; createdAt: number },
  number: number,
): PartyNotification => ({
  orderId,
  createdAt,
  subject: "order",
  number,
  event: "order.removed",
  data: { orderId },
  listEntry: "removed",
});

function toRefused({ order, event, from }: OutboxItem & { kind: "refused" }, number: number): RefusedOrderEvent {
  const { until: _until, replaced: _replaced, ...rest } = event;
  return {
    key: `order:${order.orderId}:${order.createdAt}:${number}`,
    command: canonicalJson({ type: "order.event", orderId: order.orderId, ...rest }),
    code: "illegal_transition",
    reason: `The order was ${from} when the held event ${event.status} was due.`,
  };
}
