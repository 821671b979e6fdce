/** What clients read of an order, without schemas, so that browsers can import it. Times are epoch milliseconds. */

/** A status, or an update, which has `update` and keeps the status. */
export interface TimelineEntry {
  status: string;
  /** `null` for the creation of the order. */
  previousStatus: string | null;
  /** 0 is the creation of the order. */
  sequence: number;
  occurredAt: number;
  data: unknown;
  /** What the update changed; a role that was removed is `null`. */
  update?: { parties?: Record<string, string | null> | undefined; data?: unknown } | undefined;
}

export interface Order {
  orderId: string;
  /** Users by role. */
  parties: Record<string, string>;
  status: string;
  sequence: number;
  /** As given when the order was created or last updated. */
  data: unknown;
  /** The latest signal of each name. */
  signals: Record<string, { data: unknown; at: number }>;
  createdAt: number;
  /** Time of the last applied event or update. */
  updatedAt: number;
}

/** Answer of `order:get`, and snapshot of `order:{orderId}`. */
export interface OrderWithTimeline {
  order: Order;
  timeline: TimelineEntry[];
}

/** One of the open orders in the snapshot of `orders:{userId}`. */
export type OpenOrder = Omit<Order, "data" | "signals">;

/** Snapshot of `orders:{userId}`. */
export interface OpenOrders {
  orders: OpenOrder[];
}

/** Event `order.status` of `order:{orderId}` and `orders:{userId}`. */
export type OrderStatusChange = TimelineEntry & { orderId: string };

/** Event `order.signal` of the same channels. */
export interface OrderSignalChange {
  orderId: string;
  name: string;
  data: unknown;
}
