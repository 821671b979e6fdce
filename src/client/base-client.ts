import type { Closing } from "../protocol/closings.ts";
import type { Contract, OpenContract } from "../protocol/contract/contract.ts";
import type { AnswerOf, Ready, RequestName, RequestOf, Warning } from "../protocol/wire.ts";
import type { BackoffOptions } from "./backoff.ts";
import type { Listener, Off } from "./emitter.ts";
import type { TidegateError } from "./errors.ts";
import type { Pacer } from "./pacer.ts";
import type { GatewaySocket } from "./socket.ts";

/** `recovering`: connected, and some channel is still recovering missed publications. `closed`: permanently. */
export type ClientState = "connecting" | "connected" | "recovering" | "disconnected" | "closed";

export interface ClientEvents {
  /** `error`: why there is no connection; `retryInMs`: delay before the next attempt. */
  state: { state: ClientState; previous: ClientState; error?: TidegateError; retryInMs?: number };
  /** The node's `ready`, on every connection. */
  ready: Ready;
  /** The token expires soon. With a token function the client refreshes it by itself. */
  expiring: { expiresAt: number };
  /** The gateway is about to disconnect this client. */
  closing: Closing;
  /** The node is draining; the client moves to another by itself. */
  drain: { reconnectAfterMs: number };
  /** The gateway reports a message of yours that nothing handles, once per connection and event. */
  warning: Warning;
  /** An error that no call rejects with: refreshing the token failed. */
  error: TidegateError;
  /** Closed permanently: by `close`, or by the gateway for a reason that reconnecting cannot resolve. */
  closed: TidegateError;
}

/** A client without its channels: a connection and its requests. */
export interface BaseClient<C extends Contract = OpenContract> {
  readonly state: ClientState;
  /** The last `ready`: node, user, session. */
  readonly ready: Ready | undefined;
  /** Round trip of the last answered request in milliseconds. */
  readonly roundTripMs: number | undefined;
  /** Socket.IO's socket, for your own events. */
  readonly socket: GatewaySocket<C>;
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): Off;
  /** Sends any request of the protocol. Rejects with a TidegateError. */
  request<Name extends RequestName>(name: Name, message: RequestOf<Name>): Promise<AnswerOf<Name>>;
  /** Reconnects at once instead of waiting for the next attempt. */
  reconnectNow(): void;
  close(): void;
}

/** A client as its own parts see it. */
export interface InternalClient extends BaseClient {
  state: ClientState;
  ready: Ready | undefined;
  roundTripMs: number | undefined;
  readonly _backoff: BackoffOptions | undefined;
  /** Paces the subscribe requests. */
  readonly _pace: Pacer;
  /** Number of the current connection, from 1; undefined while disconnected. */
  _connection?: number | undefined;
  /** Max bytes per message of this node. Larger messages would end the connection, so they are refused here. */
  _maxBytes: number;
  _closedBy?: TidegateError;
}
