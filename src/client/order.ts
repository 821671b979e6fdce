import type {
  OpenOrder,
  Order,
  OrderSignalChange,
  OrderStatusChange,
  OrderWithTimeline,
  TimelineEntry,
} from "../protocol/order.ts";
import { type ChannelReducer, liveChannel } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents, Shown } from "./live-view.ts";

/** The latest value of something that changes often: a courier's location, an estimated time of arrival. */
export interface OrderSignal {
  name: string;
  data: unknown;
  /** Epoch milliseconds. */
  at: number;
}

export interface LiveOrderEvents extends LiveEvents {
  /** The order changed its status. Each change once. */
  status: TimelineEntry;
  signal: OrderSignal;
  /** The order changed to this, also after it was reloaded. */
  change: OrderWithTimeline;
}

/** An order as its parties see it: each status once and in order, and the latest signals. */
export interface LiveOrder extends Live<LiveOrderEvents> {
  readonly orderId: string;
  /** Undefined until `loaded`. */
  readonly order: Order | undefined;
  /** Its statuses, oldest first. */
  readonly timeline: readonly TimelineEntry[];
  readonly signals: Readonly<Order["signals"]>;
}

/** Max entries of a timeline; the oldest are dropped, as on the gateway. */
const maxEntries = 1_000;

/**
 * The order after a status change; undefined if it already had this or a later status. Bridges and backends may publish
 * other `order.status` events on an order's channel, without a sequence.
 */
export const moveOrder = <Known extends OpenOrder>(
  order: Known,
  { status, sequence }: TimelineEntry,
  updatedAt: number,
): Known | undefined =>
  Number.isSafeInteger(sequence) && sequence > order.sequence ? { ...order, status, sequence, updatedAt } : undefined;

/** The state of one order, shared by its views. */
export const createOrder: CreateState<LiveOrder, LiveOrderEvents> = (orderId, client, emit) => {
  const view: Shown<LiveOrder> & Pick<OrderWithTimeline, "timeline"> = {
    orderId,
    order: undefined,
    timeline: [],
    signals: {},
  };
  const update = (next: OrderWithTimeline): void => {
    Object.assign(view, next, { signals: next.order.signals });
    emit("change", next);
  };
  const signal = (order: Order, { name, data }: OrderSignalChange, at: number): void => {
    update({ order: { ...order, signals: { ...order.signals, [name]: { data, at } } }, timeline: view.timeline });
    emit("signal", { name, data, at });
  };
  const move = (order: Order, { orderId: _order, ...entry }: OrderStatusChange, at: number): void => {
    const moved = moveOrder(order, entry, at);
    if (!moved) return;
    update({ order: moved, timeline: [...view.timeline, entry].slice(-maxEntries) });
    emit("status", entry);
  };
  const reducer: ChannelReducer = {
    snapshot: update,
    publication({ event, data, publishedAt }) {
      const { order } = view;
      if (event === "order.updated") live._reload();
      if (order && event === "order.status") move(order, data as OrderStatusChange, publishedAt);
      if (order && event === "order.signal") signal(order, data as OrderSignalChange, publishedAt);
    },
  };
  const live = liveChannel(client, view, reducer, emit);
  live._open(`order:${orderId}`);
  return live;
};
