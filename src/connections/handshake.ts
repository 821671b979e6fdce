import type { IncomingMessage } from "node:http";
import type { EngineSocket } from "../engine/engine-socket.ts";
import type { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import { AppRefusal, GatewayError, isTemporary, type ErrorCode } from "../protocol/errors.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { recordRefusal, refusalOf, type RefusalDeps } from "../commands/refusal.ts";
import type { HandshakeContext } from "./quota-admission.ts";
import type { Admission } from "./admission.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import { refused } from "../engine/parser.ts";
import { engineSocketOf, isEnteringMain, privateIdOf, refusedMain } from "./socket-io.ts";

/** `token` is unchecked input. Throws a GatewayError if the client is refused. */
export type Authenticate = (token: unknown, caller: HandshakeContext) => Promise<Identity>;

export interface HandshakeDeps extends Pick<RefusalDeps, "reasons"> {
  authenticate: Authenticate;
  admission: Pick<Admission, "readmit" | "claim" | "release">;
  /** Called if an authenticated client disconnected before its connection was established. */
  abandoned?: ((identity: Identity) => void) | undefined;
  metrics: Pick<Metrics, "handshakes" | "refusals">;
  failures: ErrorReporter;
}

/** A client that has authenticated. */
export interface AuthenticatedConnection {
  identity: Identity;
  address: string;
  userAgent: string | undefined;
}

/** A connection that has not authenticated yet. */
interface PendingConnection {
  /** Identifies the connection in `Admission`. */
  request: IncomingMessage;
  address: string;
  userAgent: string | undefined;
  attempts: number;
  isBusy: boolean;
  /** Resolves when the current attempt was refused or became a connection; undefined if nobody waits. */
  attempt: PromiseWithResolvers<void> | undefined;
  /** Set from authentication until the connection is established. */
  identity: Identity | undefined;
  /** The socket that has authenticated. */
  socket: Socket | undefined;
}

/** Max tokens that one connection may try, one after the other. */
const maxAttempts = 8;

const maxUserAgentLength = 256;

const mayAttempt = ({ isBusy, identity, attempts }: PendingConnection): boolean =>
  !isBusy && identity === undefined && attempts < maxAttempts;

/** Authenticates connections. If one ends during its handshake, nothing of it remains. */
export class PendingHandshakes {
  readonly #deps: HandshakeDeps;
  readonly #pending = new Map<EngineSocket, PendingConnection>();
  readonly #forget: (this: EngineSocket) => void;

  constructor(deps: HandshakeDeps) {
    this.#deps = deps;
    const pendingConnections = this.#pending;
    // One function for all connections, to save the memory of a closure per connection.
    this.#forget = function (this: EngineSocket) {
      const pending = pendingConnections.get(this);
      if (pending === undefined) return;
      pendingConnections.delete(this);
      deps.admission.release(pending.request);
      settle(pending);
      if (pending.identity !== undefined) deps.abandoned?.(pending.identity);
    };
  }

  /** Call when a transport connection opens. */
  open(engine: EngineSocket): void {
    const request = engine.request as IncomingMessage;
    const address = this.#deps.admission.claim(request);
    const userAgent = userAgentOf(request);
    this.#pending.set(engine, {
      request,
      address,
      userAgent,
      attempts: 0,
      isBusy: false,
      attempt: undefined,
      identity: undefined,
      socket: undefined,
    });
    engine.once("close", this.#forget);
  }

  /** Namespace middleware. Always calls `next`; otherwise Socket.IO would keep the incomplete socket forever. */
  authenticate(socket: Socket, next: (error?: Error) => void): void {
    this.#answer(socket, next).catch((error: unknown) => this.#deps.failures.report("socket.handshake", error));
  }

  /** The authenticated client of a socket whose handshake is not complete. */
  authenticatedOf(socket: Socket): AuthenticatedConnection | undefined {
    const pending = this.#pending.get(engineSocketOf(socket));
    if (pending?.identity === undefined || pending.socket !== socket) return undefined;
    const { identity, address, userAgent } = pending;
    return { identity, address, userAgent };
  }

  /**
   * Resolves when the attempt of another socket of the same client was refused or has become a connection; undefined if there
   * is none.
   */
  attemptOf(socket: Socket): Promise<void> | undefined {
    const pending = this.#pending.get(engineSocketOf(socket));
    const isUnderWay = pending?.isBusy === true || pending?.identity !== undefined || isEnteringMain(socket);
    if (pending === undefined || !isUnderWay) return undefined;
    return (pending.attempt ??= Promise.withResolvers()).promise;
  }

  /** Completes a handshake. Returns the client once; undefined for a socket that did not pass `authenticate`. */
  complete(socket: Socket): AuthenticatedConnection | undefined {
    const authenticated = this.authenticatedOf(socket);
    const conn = engineSocketOf(socket);
    const pending = this.#pending.get(conn);
    if (pending !== undefined) this.#deps.admission.release(pending.request);
    this.#pending.delete(conn);
    conn.off("close", this.#forget);
    // Once the caller has made a connection of it.
    if (pending?.attempt !== undefined) setImmediate(() => settle(pending));
    return authenticated;
  }

  /**
   * The app's middleware refuses a socket that has authenticated: its client may try again, and enter other namespaces. A
   * resumed connection remains until its client leaves, which abandons it.
   */
  refusedByApp(socket: Socket): void {
    const conn = engineSocketOf(socket);
    const pending = this.#pending.get(conn);
    if (pending?.identity === undefined || pending.socket !== socket || conn.owner !== undefined) return;
    const { identity } = pending;
    pending.identity = pending.socket = undefined;
    if (socket.nsp.name === "/") refusedMain(socket);
    settle(pending);
    this.#deps.abandoned?.(identity);
  }

  async #answer(socket: Socket, next: (error?: Error) => void): Promise<void> {
    let refusal: Error | undefined;
    try {
      await this.#admit(socket);
    } catch (error) {
      refusal = this.refuse(socket, error);
      if (socket.nsp.name === "/") refusedMain(socket);
      settle(this.#pending.get(engineSocketOf(socket)));
    }
    next(refusal);
  }

  async #admit(socket: Socket): Promise<void> {
    const pending = this.#pending.get(engineSocketOf(socket));
    // A second CONNECT while the first is in flight would put two sockets on one connection.
    // A stock client reconnects, and then sends its handshake for the main namespace first.
    if (pending === undefined && engineSocketOf(socket).owner !== undefined)
      throw new GatewayError("unavailable", "The client has entered another namespace before the main one.");
    if (pending === undefined || !mayAttempt(pending)) throw refuseAttempt(socket);
    pending.isBusy = true;
    pending.attempts += 1;
    try {
      // The first attempt was counted when the connection began.
      if (pending.attempts > 1) await this.#deps.admission.readmit(pending.address);
      pending.identity = await this.#authenticate(socket, pending);
      pending.socket = socket;
    } finally {
      pending.isBusy = false;
    }
    if (this.#pending.get(engineSocketOf(socket)) !== pending) this.#deps.abandoned?.(pending.identity);
  }

  #authenticate(socket: Socket, { address, userAgent }: PendingConnection): Promise<Identity> {
    const privateId = socket.recovered ? privateIdOf(socket) : undefined;
    const { id, handshake, nsp } = socket;
    const connection = { id, address, userAgent, handshake, namespace: nsp.name };
    const conn = engineSocketOf(socket);
    const hasLeft = (): boolean => conn.readyState !== "open";
    return this.#deps.authenticate(tokenOf(socket), { userAgent, privateId, hasLeft, hasOwnChannel: true, connection });
  }

  /**
   * Records a refusal and returns the error for Socket.IO. A temporary error closes the transport without an answer, so that a
   * stock client retries by itself.
   */
  refuse(socket: Socket, error: unknown): Error {
    const refusal = refusalOf(error);
    if (["internal", "app_failed"].includes(refusal.code)) this.#deps.failures.report("socket.handshake", error);
    const refusalSent = isHandshakeRefusal(refusal) ? refusal : asHandshakeError(refusal);
    const body = refusalSent.toClientBody();
    this.#deps.metrics.handshakes.inc({ outcome: refusalSent.code });
    recordRefusal(this.#deps, refusalSent, {
      kind: "handshake",
      connectionId: socket.id,
      address: this.#pending.get(engineSocketOf(socket))?.address,
    });
    if (isTemporary(refusalSent.code)) engineSocketOf(socket).close();
    return Object.assign(new Error(body.code), { data: body });
  }
}

function settle(pending: PendingConnection | undefined): void {
  pending?.attempt?.resolve();
  if (pending !== undefined) pending.attempt = undefined;
}

const handshakeCodes = [
  "unauthorized",
  "token_expired",
  "token_revoked",
  "session_expired",
  "user_blocked",
  "connection_limit",
  "rate_limited",
  "draining",
  "unavailable",
  "app_failed",
  "timeout",
] as const satisfies ErrorCode[];

const isHandshakeRefusal = (refusal: GatewayError): boolean =>
  refusal instanceof AppRefusal || (handshakeCodes as readonly ErrorCode[]).includes(refusal.code);

/** Maps other errors to handshake codes: failures of the server can be retried, errors of the client cannot. */
function asHandshakeError(refusal: GatewayError): GatewayError {
  if (refusal.code === "internal" || refusal.code === "writes_refused")
    return new GatewayError("unavailable", refusal.message, { retryAfterMs: 1_000 });
  return new GatewayError("unauthorized", refusal.message, { reason: refusal.reason });
}

function refuseAttempt(socket: Socket): GatewayError {
  engineSocketOf(socket).close();
  return new GatewayError("unauthorized", "Too many attempts on one connection.", { reason: { rule: "attempts" } });
}

/**
 * From `auth.token`, else from the header. Never from the query, which proxies and browsers log: a token there is refused
 * even if a valid one is sent as well.
 */
function tokenOf(socket: Socket): unknown {
  const { auth, headers, query } = socket.handshake;
  const token = tokenIn(auth);
  if ("token" in query || "access_token" in query) {
    throw new GatewayError("unauthorized", "A token in the query string is not accepted.", {
      reason: { rule: "query_token" },
    });
  }
  return token ?? /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
}

/** Throws if the `auth` of a handshake was invalid. */
export function tokenIn(auth: Readonly<Record<string, unknown>>): unknown {
  if (auth[refused as never] !== undefined) throw auth[refused as never] as GatewayError;
  return auth.token ?? undefined;
}

function userAgentOf(request: IncomingMessage): string | undefined {
  return request.headers["user-agent"]?.slice(0, maxUserAgentLength);
}
