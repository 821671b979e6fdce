import type { Contract, OpenContract } from "../protocol/contract/contract.ts";
import type { ConnectOptions } from "./channel-client.ts";
import { type Client, createGatewayClient } from "./gateway-client.ts";

/** The client of a Tidegate gateway, for browsers and Node. */

export type * from "../protocol/board.ts";
export type { Closing, ClosingCode } from "../protocol/closings.ts";
export type { Contract, OpenContract } from "../protocol/contract/contract.ts";
export type { ErrorCode } from "../protocol/errors.ts";
export type { OpenOrder, Order, OrderWithTimeline, TimelineEntry } from "../protocol/order.ts";
export type * from "../protocol/wire.ts";
export type { BackoffOptions } from "./backoff.ts";
export type {
  AcquiredChannel,
  Channel,
  ChannelEvents,
  EphemeralPublishOptions,
  Publication,
  PublishOptions,
} from "./channel.ts";
export type { Listener, Off } from "./emitter.ts";
export { TidegateError, type TidegateErrorCode } from "./errors.ts";
export type { ChannelClient, ClientEvents, ClientState, ConnectOptions } from "./channel-client.ts";
export type { Client } from "./gateway-client.ts";
export type { LiveEntry, LiveState, LiveStateEvents, SetOptions } from "./channel-state.ts";
export type { LiveText, LiveTextEvents } from "./joined-text.ts";
export type { Leaderboard, LeaderboardEvents, OwnEntry } from "./leaderboard.ts";
export type { Live, LiveEvents } from "./live-view.ts";
export type { LiveOrders, LiveOrdersEvents } from "./open-orders.ts";
export type { LiveOrder, LiveOrderEvents, OrderSignal } from "./order.ts";
export type { ChannelState } from "./channel-reader.ts";
export type { Sessions } from "./sessions.ts";
export type { TokenProvider } from "./tokens.ts";

/**
 * Connects to a gateway and stays connected until `close`, across disconnects, node changes and token expiry. Does not
 * throw; errors are reported by events and by the promises of the calls. `connect<typeof contract>` has the types of a
 * contract.
 */
export const connect = createGatewayClient as <C extends Contract = OpenContract>(
  url: string,
  options: ConnectOptions,
) => Client<C>;
