import type { OpenOrder, OpenOrders, OrderSignalChange, OrderStatusChange } from "../protocol/order.ts";
import { type ChannelReducer, liveChannel, onUser } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents, Shown } from "./live-view.ts";
import { moveOrder } from "./order.ts";

export interface LiveOrdersEvents extends LiveEvents {
  /** One of the user's orders changed its status. */
  status: OrderStatusChange;
  signal: OrderSignalChange & { at: number };
  /** The list changed to this one. */
  change: readonly OpenOrder[];
}

/** The open orders of the signed-in user, newest first. */
export interface LiveOrders extends Live<LiveOrdersEvents> {
  readonly orders: readonly OpenOrder[];
}

/** Min time between two reloads of the list, in milliseconds. */
const reloadEveryMs = 1_000;

/**
 * The user's open orders, shared by their views. A status change has neither the parties of a new order nor whether the
 * order has ended, so it is applied at once to a known order, and the list is reloaded afterwards.
 */
export const createOpenOrders: CreateState<LiveOrders, LiveOrdersEvents> = (_name, client, emit) => {
  const view: Shown<LiveOrders> = { orders: [] };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let reloadedAt = -reloadEveryMs;
  const update = (orders: readonly OpenOrder[]): void => {
    // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
    view.orders = [...orders].sort((one, other) => other.createdAt - one.createdAt);
    emit("change", view.orders);
  };
  const reloadSoon = (): void => {
    const waitMs = Math.max(0, reloadedAt + reloadEveryMs - performance.now());
    timer ??= setTimeout(() => {
      timer = undefined;
      reloadedAt = performance.now();
      live._reload();
    }, waitMs);
  };
  const move = (change: OrderStatusChange, at: number): void => {
    const known = view.orders.find(({ orderId }) => orderId === change.orderId);
    const moved = known && moveOrder(known, change, at);
    if (known && !moved) return;
    if (moved) update(view.orders.map((order) => (order === known ? moved : order)));
    emit("status", change);
    reloadSoon();
  };
  const reducer: ChannelReducer = {
    snapshot: ({ orders }: OpenOrders) => update(orders),
    publication({ event, data, publishedAt: at }) {
      if (event === "order.status") move(data as OrderStatusChange, at);
      else if (event === "order.signal") emit("signal", { ...(data as OrderSignalChange), at });
      else reloadSoon();
    },
  };
  const live = liveChannel(client, view, reducer, emit);
  live._cleanups.push(
    onUser(client, (userId) => live._open(`orders:${userId}`)),
    () => clearTimeout(timer),
  );
  return live;
};
