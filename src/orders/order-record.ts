import type { Order, OpenOrder, TimelineEntry } from "../protocol/orders.ts";
import type { HeldEvent, OrderState } from "./event-ordering.ts";

/** What never changes about an order. */
export interface OrderRecord {
  orderId: string;
  parties: Record<string, string>;
  data: unknown;
  /** Epoch milliseconds; also tells this order from an earlier one of the same id whose life is over. */
  createdAt: number;
}

/** An order as the store holds it. */
export interface StoredOrder {
  record: OrderRecord;
  /** Fingerprint of what it was created with. */
  content: string;
  state: OrderState;
  /** Moves on with each save. */
  revision: string;
  updatedAt: number;
  signals: Order["signals"];
}

/** What is to be told outside the order's slot: a status to the parties, a refused event to the dead letters. */
export type OutboxItem =
  | { kind: "status"; order: OpenOrder; hasEnded: boolean; entry: TimelineEntry }
  | { kind: "refused"; order: Pick<OrderRecord, "orderId" | "createdAt">; event: HeldEvent; from: string };

/** Its place in the order's outbox grows with each item. */
export interface NumberedItem {
  number: number;
  item: OutboxItem;
}

export function toOrder({ record, state, updatedAt, signals }: StoredOrder): Order {
  const { orderId, parties, data, createdAt } = record;
  const { status, sequence } = state;
  return { orderId, parties, status, sequence, data, signals, createdAt, updatedAt };
}

export function toOpenOrder(
  { orderId, parties, createdAt }: OrderRecord,
  { status, sequence }: Pick<OrderState, "status" | "sequence">,
  updatedAt: number,
): OpenOrder {
  return { orderId, parties, status, sequence, createdAt, updatedAt };
}
