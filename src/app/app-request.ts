import { randomUUID } from "node:crypto";
import type { AppUser, ClientHandshake, ConnectionInfo } from "../connections/connection.ts";
import { toWire } from "../runtime/binary-json.ts";

/** What an app is told of a client's request, in process or as the JSON body of a POST. */
export interface AppRequest {
  /** Of this request: a repeat has the same. */
  id: string;
  type: "event" | "connect" | "subscribe" | "publish";
  event: string;
  args: unknown[];
  channel?: string;
  /** Socket.IO namespace. */
  namespace: string;
  /** Omitted if an operator asks what a user may do. */
  connection?: RequestConnection;
  /** Omitted for a client that has not authenticated. */
  user?: AppUser;
  /** Passed on as a header. */
  traceparent?: string;
}

/** A client's connection, as an app is told of it. */
export interface RequestConnection {
  readonly connectionId: string;
  readonly nodeId: string;
  readonly address: string;
  /** Empty if the client sent none. */
  readonly userAgent: string;
  /** Of the client's handshake. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the client's handshake, without its token. */
  readonly auth: Readonly<Record<string, unknown>>;
}

export interface RequestOptions {
  nodeId: string;
  /** Names of the headers of a handshake that an app is sent, in lower case; undefined for all. */
  headers: readonly string[] | undefined;
}

export interface RequestContent {
  type: AppRequest["type"];
  event?: string;
  args?: readonly unknown[];
  channel?: string;
  connection?: ConnectionInfo | undefined;
  user?: AppUser | undefined;
}

/** Builds the request with an id of its own. Tokens are left out. */
export function requestOf(
  { type, event = type, args = [], channel, connection, user }: RequestContent,
  options: RequestOptions,
): AppRequest {
  const traceparent = connection && traceparentOf(connection.handshake);
  return {
    id: `msg_${randomUUID()}`,
    type,
    event,
    args: args.map(toWire),
    ...(channel !== undefined && { channel }),
    namespace: connection?.namespace ?? "/",
    ...(connection !== undefined && { connection: describeConnection(connection, options) }),
    ...(user !== undefined && { user }),
    ...(traceparent !== undefined && { traceparent }),
  };
}

/** Headers and `auth` are read only if somebody wants them. */
export function describeConnection(
  { id: connectionId, address, userAgent = "", handshake }: ConnectionInfo,
  { nodeId, headers }: RequestOptions,
): RequestConnection {
  return {
    connectionId,
    nodeId,
    address,
    userAgent,
    get headers() {
      return allowedHeaders(handshake, headers);
    },
    get auth() {
      return withoutSecrets(handshake.auth);
    },
  };
}

function allowedHeaders({ headers }: ClientHandshake, allowed: readonly string[] | undefined): Record<string, string> {
  // Some are not enumerable (`hideCredentials`).
  const names = (allowed ?? Object.getOwnPropertyNames(headers)).filter((name) => name !== "authorization");
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name];
      return value === undefined ? [] : [[name, Array.isArray(value) ? value.join(", ") : value]];
    }),
  );
}

/** `pid` and `offset` are Socket.IO's: whoever has a `pid` may recover that connection. */
function withoutSecrets(auth: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { token: _token, pid: _pid, offset: _offset, ...others } = auth;
  return others;
}

const traceparentForm = /^[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/;

/** The trace context with which a client connected, if it sent a valid one. */
function traceparentOf({ headers }: ClientHandshake): string | undefined {
  const { traceparent } = headers;
  return typeof traceparent === "string" && traceparentForm.test(traceparent) ? traceparent : undefined;
}
