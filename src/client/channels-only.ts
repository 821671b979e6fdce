import type { Contract, OpenContract } from "../protocol/contract/contract.ts";
import { type ChannelClient, type ConnectOptions, createClient } from "./channel-client.ts";

/** The client without leaderboards, orders, state and joined text, for pages that have none and count bytes. */

export type { ChannelClient, ClientEvents, ClientState, ConnectOptions } from "./channel-client.ts";
export { TidegateError } from "./errors.ts";

/** As `connect` of the whole client. */
export const connect = createClient as <C extends Contract = OpenContract>(
  url: string,
  options: ConnectOptions,
) => ChannelClient<C>;
