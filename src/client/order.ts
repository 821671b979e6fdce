import type {
  Order,
  OrderSignalChange,
  OrderStatusChange,
  OrderWithTimeline,
  TimelineEntry,
} from "../protocol/order.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { liveChannel } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents } from "./live-view.ts";
import { applySignal, applyStatus } from "./order-state.ts";

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

/** The state of one order, shared by its views. */
export const createOrder: CreateState<LiveOrder, LiveOrderEvents> = (orderId, context, emit) => {
  let known: OrderWithTimeline | undefined;
  const update = (order: OrderWithTimeline): void => emit("change", (known = order));
  const move = (change: OrderStatusChange, at: number): void => {
    const moved = known && applyStatus(known, change, at);
    if (moved === undefined) return;
    update(moved.known);
    emit("status", moved.entry);
  };
  const signal = (change: OrderSignalChange, at: number): void => {
    if (known === undefined) return;
    update(applySignal(known, change, at));
    emit("signal", { name: change.name, data: change.data, at });
  };
  const apply = ({ event, data, publishedAt }: WirePublication): void => {
    if (event === "order.status") move(data as OrderStatusChange, publishedAt);
    if (event === "order.updated") live.reload();
    if (event === "order.signal") signal(data as OrderSignalChange, publishedAt);
  };
  const live = liveChannel(context, { reset: update, apply }, emit);
  live.open(`order:${orderId}`);
  return {
    live,
    view: {
      orderId,
      get order() {
        return known?.order;
      },
      get timeline() {
        return known?.timeline ?? [];
      },
      get signals() {
        return known?.order.signals ?? {};
      },
    },
  };
};
