import type { IncomingHttpHeaders } from "node:http";
import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Closing } from "../protocol/closings.ts";

/** What a client sent with its handshake. Empty once it has connected, unless the gateway has an app. */
export interface ClientHandshake {
  readonly headers: IncomingHttpHeaders;
  readonly auth: Readonly<Record<string, unknown>>;
}

/** A connection as an app is told of it, also before the client has authenticated. */
export interface ConnectionInfo {
  /** Socket.IO's socket id. */
  readonly id: string;
  /** The client's address; behind trusted proxies the one that they report. */
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly handshake: ClientHandshake;
  /** Socket.IO namespace. */
  readonly namespace: string;
}

/** One authenticated client connection as the rest of the gateway sees it. */
export interface Connection extends Subscriber, ConnectionInfo {
  /** Replaced by `auth:refresh`. */
  identity: Identity;
  /** Epoch milliseconds. */
  readonly connectedAt: number;
  /** `websocket`, `polling` or `stream`. */
  readonly transport: string;
  /** Bytes in the send queue. */
  readonly queuedBytes: number;
  /** `channels` delivers to this. */
  readonly subscriber: Subscriber;
  /** False after `close` and after the client has disconnected: nothing is sent or received any more. */
  readonly isOpen: boolean;
  emit(event: string, ...args: unknown[]): void;
  /**
   * Sends an event that requests an acknowledgement, and resolves with its arguments. Undefined if the client cannot be
   * asked, or has not answered when it disconnects or `signal` aborts.
   */
  request(event: string, args: readonly unknown[], signal: AbortSignal): Promise<readonly unknown[] | undefined>;
  /** Acknowledges the client's message with this Socket.IO packet id. */
  answer(id: number, answer: object): void;
  /** Joins the Socket.IO room of the channel, so that events from @socket.io/redis-emitter reach this connection. */
  join(channel: string): void;
  leave(channel: string): void;
  /** Of a Socket.IO socket; undefined if they are not known. */
  readonly rooms?: Iterable<unknown> | undefined;
  /** What the app has set as the socket's data. */
  readonly data?: unknown;
  /** Stops reading from the client's network socket (WebSocket only) until `resumeReading`. */
  pauseReading(): void;
  resumeReading(): void;
  /** If `act` closes this connection, its answer is sent before `closing`. */
  answerFirst<T>(act: () => Promise<T>): Promise<T>;
  /** Sends `closing`, then disconnects. Idempotent. */
  close(closing: Closing): void;
}

/** The authenticated user of a connection, as an app sees it: `socket.data.user`, and `user` in handlers. */
export interface AppUser {
  readonly userId: string;
  readonly sessionId: string;
  readonly roles: readonly string[];
  /** Public part of the session. */
  readonly info?: Record<string, unknown>;
}

type IdentifiedUser = Pick<Identity, "userId" | "sessionId" | "roles" | "info">;

export const appUserOf = ({ userId, sessionId, roles, info }: IdentifiedUser): AppUser => ({
  userId,
  sessionId,
  roles,
  ...(info !== undefined && { info }),
});

/** A Socket.IO connection, as an app sees it. */
export interface AppConnection extends Connection {
  /** Sends an event with arguments that may contain binary. Throws if they cannot be sent. */
  emitFromApp(event: string, args: readonly unknown[]): void;
  /** Acknowledges with arguments that may contain binary. Throws if they cannot be sent. */
  acknowledge(id: number, args: readonly unknown[]): void;
}
