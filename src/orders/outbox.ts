import { canonicalJson } from "../protocol/gate.ts";
import type { Logger } from "../runtime/logger.ts";
import type { NumberedItem, OrderRecord, OutboxItem } from "./order-record.ts";
import type { OrderStore } from "./order-store.ts";
import type { OrderNews, PartyStore } from "./party-store.ts";

/** An event of an order that can no longer be applied, as the dead letters keep it. */
export interface RefusedOrderEvent {
  /** Unlike any other: a repeat is the same letter. */
  key: string;
  /** The command that would apply it. */
  command: string;
  code: "illegal_transition";
  reason: string;
}

/** Keeps what was refused after its sender had been answered. A repeat of a key is harmless. */
export type DeadLetterEvent = (refused: RefusedOrderEvent) => Promise<void>;

/** A status, for those beside its parties who want to know of all orders. */
export interface StatusNotification {
  orderId: string;
  /** The same whenever this status is told, and no other's. */
  key: string;
  /** The event's, as the parties get it. */
  data: object;
}

/** Resolves when the news is kept. A repeat of a key is harmless. */
export type NotifyStatus = (news: StatusNotification) => Promise<void>;

/** Empties outboxes: tells parties of statuses, and the dead letters of what was refused. */
export interface Telling {
  /**
   * True where all was told. Never throws: what could not be told stays in the outbox, and the look that was planned
   * before finishes it.
   */
  tell(orderId: string, outbox: readonly NumberedItem[]): Promise<boolean>;
  /** A signal, which no outbox keeps: should a party miss one, the next makes up for it. */
  tellSignal(record: OrderRecord, signal: { name: string; data: unknown; number: number }): Promise<void>;
}

export interface TellingDeps {
  store: OrderStore;
  parties: PartyStore;
  deadLetter: DeadLetterEvent;
  /** Absent: nobody else wants to know. */
  notifyStatus?: NotifyStatus | undefined;
  log: Logger;
}

export function createTelling({ store, parties, deadLetter, notifyStatus, log }: TellingDeps): Telling {
  async function tellParties(users: readonly string[], news: OrderNews): Promise<void> {
    await Promise.all([...new Set(users)].map((userId) => parties.tell(userId, news)));
  }

  async function tellItem({ number, item }: NumberedItem): Promise<void> {
    if (item.kind === "refused") return deadLetter(toRefused(item, number));
    const { order, entry } = item;
    const key = JSON.stringify([order.orderId, order.createdAt, number]);
    await Promise.all([
      tellParties(Object.values(order.parties), toNews(item)),
      notifyStatus?.({ orderId: order.orderId, key, data: { orderId: order.orderId, ...entry } }),
    ]);
  }

  return {
    async tell(orderId, outbox) {
      try {
        // One after the other: a party must see statuses in their order.
        for (const item of outbox) await tellItem(item);
        const last = outbox.at(-1);
        if (last !== undefined) await store.told(orderId, last.number);
        return true;
      } catch (error) {
        log.warn({ err: error, waiting: outbox.length }, "delivering order events failed; retrying");
        return false;
      }
    },

    async tellSignal({ orderId, parties: users, createdAt }, { name, data, number }) {
      const event = "order.signal";
      const news = {
        orderId,
        createdAt,
        subject: `signal:${name}`,
        number,
        event,
        data: { orderId, name, data },
      } as const;
      await tellParties(Object.values(users), news);
    },
  };
}

function toNews({ order, hasEnded, entry }: OutboxItem & { kind: "status" }): OrderNews {
  const { orderId, createdAt } = order;
  return {
    orderId,
    createdAt,
    subject: "status",
    number: entry.sequence,
    event: "order.status",
    data: { orderId, ...entry },
    standing: { order, hasEnded },
  };
}

function toRefused({ order, event, from }: OutboxItem & { kind: "refused" }, number: number): RefusedOrderEvent {
  const { until: _until, replaced: _replaced, ...rest } = event;
  return {
    key: `order:${order.orderId}:${order.createdAt}:${number}`,
    command: canonicalJson({ type: "order.event", orderId: order.orderId, ...rest }),
    code: "illegal_transition",
    reason: `The order was ${from} when the held event ${event.status} was due.`,
  };
}
