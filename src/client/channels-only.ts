import type { Contract, OpenContract } from "../protocol/contract/contract.ts";
import { type ChannelClient, type ConnectOptions, createClient } from "./channel-client.ts";

/** The client without leaderboards, orders, state and joined text, for pages that have none and count bytes. */

export type { Closing, ClosingCode } from "../protocol/closings.ts";
export type { Contract, OpenContract } from "../protocol/contract/contract.ts";
export type { ErrorCode } from "../protocol/errors.ts";
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
export type { BaseClient, ClientEvents, ClientState } from "./base-client.ts";
export type { ChannelClient, ConnectOptions } from "./channel-client.ts";
export type { ChannelState } from "./channel-reader.ts";
export type { Listener, Off } from "./emitter.ts";
export { TidegateError, type TidegateErrorCode } from "./errors.ts";
export type { TokenProvider } from "./tokens.ts";

/** As `connect` of the whole client. */
export const connect = createClient as <C extends Contract = OpenContract>(
  url: string,
  options: ConnectOptions,
) => ChannelClient<C>;
