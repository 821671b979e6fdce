import type { Contract, OpenContract, StateValue } from "../protocol/contract.ts";
import { ConnectedClient, type ChannelClient } from "./channel-client.ts";
import { createState, type LiveState } from "./channel-state.ts";
import { createText, type LiveText } from "./joined-text.ts";
import { createLeaderboard, type Leaderboard } from "./leaderboard.ts";
import { createOpenOrders, type LiveOrders } from "./open-orders.ts";
import { createOrder, type LiveOrder } from "./order.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import type { LiveViewContext } from "./live-channel.ts";
import { sharedViews } from "./live-view.ts";

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
  readonly #context: LiveViewContext = {
    request: (name, message) => this.request(name, message),
    channel: (name) => this.handleOf(name),
    onUser: (listener) => {
      if (this.ready !== undefined) listener(this.ready.userId);
      return this.on("ready", ({ userId }) => listener(userId));
    },
    connectionId: () => this.socket.id,
  };
  readonly #openOrders = sharedViews(createOpenOrders, this.#context);
  readonly order = sharedViews(createOrder, this.#context);
  readonly textOf = sharedViews(createText, this.#context);
  // As with channels, the caller states the type of the data and values.
  readonly leaderboard = sharedViews(createLeaderboard, this.#context) as Client["leaderboard"];
  readonly stateOf = sharedViews(createState, this.#context) as Client["stateOf"];

  orders(): LiveOrders {
    return this.#openOrders("");
  }
}
