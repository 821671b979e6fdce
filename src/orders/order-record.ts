import type { Order, OpenOrder, TimelineEntry } from "../protocol/order.ts";
import type { HeldEvent, OrderState } from "./event-ordering.ts";

/** What an order is about; `parties` and `data` may be updated. */
export interface OrderRecord {
  orderId: string;
  parties: Record<string, string>;
  data: unknown;
  /** Epoch milliseconds; also distinguishes this order from an expired one with the same id. */
  createdAt: number;
}

/** An order as stored. */
export interface StoredOrder {
  record: OrderRecord;
  /** Fingerprint of the creation request. */
  content: string;
  state: OrderState;
  /** Incremented by each save. */
  revision: string;
  updatedAt: number;
  /** When the change to its status was decided, in epoch milliseconds. Earlier versions did not store it. */
  statusAt?: number | undefined;
  signals: Order["signals"];
}

/** A pending notification outside the order's slot: a status or update for the parties, or a refused event. */
export type OutboxItem =
  | { kind: "status"; order: OpenOrder; hasEnded: boolean; entry: TimelineEntry }
  | { kind: "update"; order: OpenOrder; hasEnded: boolean; entry: TimelineEntry; removed: string[] }
  | { kind: "refused"; order: Pick<OrderRecord, "orderId" | "createdAt">; event: HeldEvent; from: string };

/** An outbox item and its number, which increases with each item of the order. */
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
