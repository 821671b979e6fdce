import type { OrderSignalChange, OrderStatusChange, OrderWithTimeline } from "../protocol/orders.ts";

/** Entries a timeline keeps here; beyond it the oldest go, as they do at the gateway. */
const mostEntries = 1_000;

/** The order after a status; undefined where it had that one or a later one already, or the status has no place in it. */
export function applyStatus(
  { order, timeline }: OrderWithTimeline,
  { orderId: _order, ...entry }: OrderStatusChange,
  at: number,
): OrderWithTimeline | undefined {
  if (!isLater(entry, order)) return undefined;
  const { status, sequence } = entry;
  return {
    order: { ...order, status, sequence, updatedAt: at },
    timeline: [...timeline, entry].slice(-mostEntries),
  };
}

/** The order with the latest of a signal. */
export function applySignal(
  { order, timeline }: OrderWithTimeline,
  { name, data }: OrderSignalChange,
  at: number,
): OrderWithTimeline {
  return { order: { ...order, signals: { ...order.signals, [name]: { data, at } } }, timeline };
}

/** Bridges and backends may publish statuses of their own making on an order's channel; those need not have a sequence. */
export function isLater({ sequence }: { sequence: number }, than: { sequence: number }): boolean {
  return Number.isSafeInteger(sequence) && sequence > than.sequence;
}
