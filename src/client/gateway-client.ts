import type { Contract, OpenContract, StateValue } from "../protocol/contract.ts";
import { ConnectedClient, type ChannelClient } from "./channel-client.ts";
import { SharedState, StateView, type LiveState } from "./channel-state.ts";
import { SharedText, TextView, type LiveText } from "./joined-text.ts";
import { SharedLeaderboard, LeaderboardView, type Leaderboard } from "./leaderboard.ts";
import { SharedOpenOrders, OpenOrdersView, type LiveOrders } from "./open-orders.ts";
import { SharedOrder, OrderView, type LiveOrder } from "./order.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import type { LiveViewContext } from "./live-channel.ts";
import { ReferenceCounted } from "./reference-counted.ts";

export interface Client<C extends Contract = OpenContract> extends ChannelClient<C> {
  readonly sessions: Sessions;
  /** A board's live top and the user's own entry, until `close`. */
  leaderboard<Data = unknown>(board: string): Leaderboard<Data>;
  /** A live order of which the user is a party, until `close`. */
  order(orderId: string): LiveOrder;
  /** The user's open orders, live, until `close`. */
  orders(): LiveOrders;
  /** The keyed state of a channel, live, until `close`. */
  stateOf<Name extends string>(channel: Name): LiveState<StateValue<C, Name>>;
  stateOf<Value = unknown>(channel: string): LiveState<Value>;
  /** The joined text of a channel, live, until `close`. */
  textOf(channel: string): LiveText;
}

/** A client with sessions and live views. */
export class GatewayClient extends ConnectedClient implements Client {
  readonly sessions = createSessions(this);
  readonly #views = createLiveViews({
    request: (name, message) => this.request(name, message),
    channel: (name) => this.handleOf(name),
    onUser: (listener) => {
      if (this.ready !== undefined) listener(this.ready.userId);
      return this.on("ready", ({ userId }) => listener(userId));
    },
    connectionId: () => this.socket.id,
  });

  leaderboard<Data>(board: string): Leaderboard<Data> {
    // As with channels, the caller states the type of the entries' data.
    return this.#views.leaderboard(board) as Leaderboard<Data>;
  }

  order(orderId: string): LiveOrder {
    return this.#views.order(orderId);
  }

  orders(): LiveOrders {
    return this.#views.orders();
  }

  stateOf<Value>(channel: string): LiveState<Value> {
    // As with channels, the caller states the type of the values.
    return this.#views.state(channel) as LiveState<Value>;
  }

  textOf(channel: string): LiveText {
    return this.#views.text(channel);
  }
}

/** A client's live views. Views of the same channel share one subscription, which ends with the last of them. */
interface LiveViews {
  leaderboard(board: string): Leaderboard;
  order(orderId: string): LiveOrder;
  orders(): LiveOrders;
  state(channel: string): LiveState;
  text(channel: string): LiveText;
}

function createLiveViews(context: LiveViewContext): LiveViews {
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
