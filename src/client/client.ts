import type { Contract, OpenContract } from "../protocol/contract/contract.ts";
import type { ConnectOptions } from "./channel-client.ts";
import { type Client, createGatewayClient } from "./gateway-client.ts";

/** The client of a Tidegate gateway, for browsers and Node. */

export type * from "./channels-only.ts";
export type * from "../protocol/board.ts";
export type { OpenOrder, Order, OrderWithTimeline, TimelineEntry } from "../protocol/order.ts";
export { TidegateError } from "./errors.ts";
export type { Client } from "./gateway-client.ts";
export type { LiveEntry, LiveState, LiveStateEvents, SetOptions } from "./channel-state.ts";
export type { LiveText, LiveTextEvents } from "./joined-text.ts";
export type { Leaderboard, LeaderboardEvents, OwnEntry } from "./leaderboard.ts";
export type { Live, LiveEvents } from "./live-view.ts";
export type { LiveOrders, LiveOrdersEvents } from "./open-orders.ts";
export type { LiveOrder, LiveOrderEvents, OrderSignal } from "./order.ts";
export type { Sessions } from "./sessions.ts";

/**
 * Connects to a gateway and stays connected until `close`, across disconnects, node changes and token expiry. Does not
 * throw; errors are reported by events and by the promises of the calls. `connect<typeof contract>` has the types of a
 * contract.
 */
export const connect = createGatewayClient as <C extends Contract = OpenContract>(
  url: string,
  options: ConnectOptions,
) => Client<C>;
