import type { OpenOrder, OpenOrders, OrderSignalChange, OrderStatusChange } from "../protocol/order.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { liveChannel } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents } from "./live-view.ts";
import { isLater } from "./order-state.ts";

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
export const createOpenOrders: CreateState<LiveOrders, LiveOrdersEvents> = (_name, context, emit) => {
  let orders: readonly OpenOrder[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let reloadedAt = -reloadEveryMs;
  const update = (next: readonly OpenOrder[]): void => {
    // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
    orders = [...next].sort((one, other) => other.createdAt - one.createdAt);
    emit("change", orders);
  };
  const reloadSoon = (): void => {
    const waitMs = Math.max(0, reloadedAt + reloadEveryMs - performance.now());
    timer ??= setTimeout(() => {
      timer = undefined;
      reloadedAt = performance.now();
      live.reload();
    }, waitMs);
  };
  const move = (change: OrderStatusChange, updatedAt: number): void => {
    const { orderId, status, sequence } = change;
    const known = orders.find((order) => order.orderId === orderId);
    if (known !== undefined && !isLater(change, known)) return;
    if (known !== undefined)
      update(orders.map((order) => (order === known ? { ...order, status, sequence, updatedAt } : order)));
    emit("status", change);
    reloadSoon();
  };
  const apply = ({ event, data, publishedAt }: WirePublication): void => {
    if (event === "order.status") move(data as OrderStatusChange, publishedAt);
    else if (event === "order.signal") emit("signal", { ...(data as OrderSignalChange), at: publishedAt });
    else reloadSoon();
  };
  const live = liveChannel<OpenOrders>(context, { reset: (list) => update(list.orders), apply }, emit);
  const offUser = context.onUser((userId) => live.open(`orders:${userId}`));
  return {
    live,
    view: {
      get orders() {
        return orders;
      },
    },
    end() {
      clearTimeout(timer);
      offUser();
    },
  };
};
