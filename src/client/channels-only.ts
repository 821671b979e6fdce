import type { Contract, OpenContract } from "../protocol/contract.ts";
import { type ChannelClient, type ConnectOptions, ConnectedClient } from "./channel-client.ts";

/** The client without leaderboards, orders, state and joined text, for pages that have none and count bytes. */

export type { ChannelClient, ClientEvents, ClientState, ConnectOptions } from "./channel-client.ts";
export { TidegateError } from "./errors.ts";

/** As `connect` of the whole client. */
export function connect<C extends Contract = OpenContract>(url: string, options: ConnectOptions): ChannelClient<C>;
// The types of a contract are for the caller; nothing here depends on them.
export function connect(url: string, options: ConnectOptions): ChannelClient {
  return new ConnectedClient(url, options);
}
