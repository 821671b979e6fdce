import { SharedLeaderboard, type Leaderboard, LeaderboardView } from "./leaderboard.ts";
import type { LiveViewContext } from "./live-channel.ts";
import { type LiveOrders, SharedOpenOrders, OpenOrdersView } from "./open-orders.ts";
import { type LiveOrder, SharedOrder, OrderView } from "./order.ts";
import { type LiveState, SharedState, StateView } from "./channel-state.ts";
import { type LiveText, SharedText, TextView } from "./joined-text.ts";
import { ReferenceCounted } from "./reference-counted.ts";

/** A client's live views. Views of the same channel share one subscription, which ends with the last of them. */
export interface LiveViews {
  leaderboard(board: string): Leaderboard;
  order(orderId: string): LiveOrder;
  orders(): LiveOrders;
  state(channel: string): LiveState;
  text(channel: string): LiveText;
}

export function createLiveViews(context: LiveViewContext): LiveViews {
  const boards = new ReferenceCounted((board) => new SharedLeaderboard(board, context));
  const orders = new ReferenceCounted((orderId) => new SharedOrder(orderId, context));
  const openOrders = new ReferenceCounted(() => new SharedOpenOrders(context));
  const states = new ReferenceCounted((channel) => new SharedState(channel, context));
  const texts = new ReferenceCounted((channel) => new SharedText(channel, context));
  return {
    leaderboard: (board) => new LeaderboardView(boards.acquire(board), context.request),
    order: (orderId) => new OrderView(orders.acquire(orderId)),
    state: (channel) => new StateView(states.acquire(channel)),
    text: (channel) => new TextView(texts.acquire(channel)),
    orders: () => new OpenOrdersView(openOrders.acquire("")),
  };
}
