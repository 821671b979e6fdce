import type { Contract, OpenContract, StateValue } from "../protocol/contract/contract.ts";
import { type ChannelClient, type ConnectOptions, createClient } from "./channel-client.ts";
import { createState, type LiveState } from "./channel-state.ts";
import { createText, type LiveText } from "./joined-text.ts";
import { createLeaderboard, type Leaderboard } from "./leaderboard.ts";
import { createOpenOrders, type LiveOrders } from "./open-orders.ts";
import { createOrder, type LiveOrder } from "./order.ts";
import { createSessions, type Sessions } from "./sessions.ts";
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
export function createGatewayClient(url: string, options: ConnectOptions): Client {
  const client = createClient(url, options);
  // As with channels, the caller states the type of the data and values.
  return Object.assign(client, {
    sessions: createSessions(client),
    leaderboard: sharedViews(createLeaderboard, client) as Client["leaderboard"],
    order: sharedViews(createOrder, client),
    orders: sharedViews(createOpenOrders, client),
    stateOf: sharedViews(createState, client),
    textOf: sharedViews(createText, client),
  });
}
