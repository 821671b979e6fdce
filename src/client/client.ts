import { type Client, type ConnectOptions, GatewayClient } from "./gateway-client.ts";

/** The client of a Tidegate gateway, for browsers and Node. */

export type * from "../protocol/board.ts";
export type { Closing, ClosingCode } from "../protocol/closings.ts";
export type { ErrorCode } from "../protocol/errors.ts";
export type { OpenOrder, Order, OrderWithTimeline, TimelineEntry } from "../protocol/orders.ts";
export type * from "../protocol/wire.ts";
export type { BackoffOptions } from "./backoff.ts";
export type { AcquiredChannel, Channel, ChannelEvents, Publication, PublishOptions } from "./channel.ts";
export type { Listener, Off } from "./emitter.ts";
export { TidegateError, type TidegateErrorCode } from "./errors.ts";
export type { Client, ClientEvents, ClientState, ConnectOptions } from "./gateway-client.ts";
export type { Leaderboard, LeaderboardEvents, OwnEntry } from "./leaderboard.ts";
export type { Live, LiveEvents } from "./live-view.ts";
export type { LiveOrders, LiveOrdersEvents } from "./open-orders.ts";
export type { LiveOrder, LiveOrderEvents, OrderSignal } from "./order.ts";
export type { ChannelState } from "./reading.ts";
export type { Sessions } from "./sessions.ts";
export type { TokenProvider } from "./tokens.ts";

/**
 * Connects to a gateway and stays connected until `close`, over cuts, nodes and tokens. Throws nothing for what happens
 * on the way: that is told by events, and by what each call rejects with.
 */
export function connect(url: string, options: ConnectOptions): Client {
  return new GatewayClient(url, options);
}
