import { BoardReading, type Leaderboard, LeaderboardView } from "./leaderboard.ts";
import type { LiveSource } from "./live-channel.ts";
import { type LiveOrders, OpenOrdersReading, OpenOrdersView } from "./open-orders.ts";
import { type LiveOrder, OrderReading, OrderView } from "./order.ts";
import { Shared } from "./shared.ts";

/** A client's live views. Those of the same thing share one subscription, which ends with the last of them. */
export interface LiveViews {
  leaderboard(board: string): Leaderboard;
  order(orderId: string): LiveOrder;
  orders(): LiveOrders;
}

export function createLiveViews(source: LiveSource): LiveViews {
  const boards = new Shared((board) => new BoardReading(board, source));
  const orders = new Shared((orderId) => new OrderReading(orderId, source));
  const openOrders = new Shared(() => new OpenOrdersReading(source));
  return {
    leaderboard: (board) => new LeaderboardView(boards.take(board), source.request),
    order: (orderId) => new OrderView(orders.take(orderId)),
    orders: () => new OpenOrdersView(openOrders.take("")),
  };
}
