import type { OrderSignalChange, OrderStatusChange, OrderWithTimeline, TimelineEntry } from "../protocol/order.ts";

/** Max entries of a timeline; the oldest are dropped, as on the gateway. */
const maxEntries = 1_000;

/**
 * The order after a status change, and the new entry of its timeline; undefined if it already had this or a later status, or the change has no sequence.
 */
export function applyStatus(
  { order, timeline }: OrderWithTimeline,
  { orderId: _order, ...entry }: OrderStatusChange,
  at: number,
): { known: OrderWithTimeline; entry: TimelineEntry } | undefined {
  if (!isLater(entry, order)) return undefined;
  const { status, sequence } = entry;
  const moved = { ...order, status, sequence, updatedAt: at };
  return { known: { order: moved, timeline: [...timeline, entry].slice(-maxEntries) }, entry };
}

/** The order with a new value of a signal. */
export function applySignal(
  { order, timeline }: OrderWithTimeline,
  { name, data }: OrderSignalChange,
  at: number,
): OrderWithTimeline {
  return { order: { ...order, signals: { ...order.signals, [name]: { data, at } } }, timeline };
}

/** Bridges and backends may publish other `order.status` events on an order's channel, without a sequence. */
export function isLater({ sequence }: { sequence: number }, than: { sequence: number }): boolean {
  return Number.isSafeInteger(sequence) && sequence > than.sequence;
}
