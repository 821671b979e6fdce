import type { IncomingMessage } from "node:http";
import type { Socket as EngineSocket } from "engine.io";
import type { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import { GatewayError, isTemporary, type ErrorCode } from "../protocol/errors.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { limiterOf, refusalOf } from "../commands/refusal.ts";
import type { Caller } from "./seating.ts";
import type { Admission } from "./admission.ts";
import type { Failures } from "./failures.ts";
import { refused } from "../engine/parser.ts";
import { privateIdOf } from "./returns.ts";

/** `token` is whatever a stranger sent in its place. Throws a GatewayError where it does not let them in. */
export type Authenticate = (token: unknown, caller: Caller) => Promise<Identity>;

export interface HandshakeDeps {
  authenticate: Authenticate;
  admission: Pick<Admission, "askAgain" | "keep" | "leave">;
  /** Called for everybody who was authenticated and has gone before the connection was made. */
  abandoned?: ((identity: Identity) => void) | undefined;
  metrics: Pick<Metrics, "handshakes" | "refusals">;
  failures: Failures;
}

/** Somebody who was let in. */
export interface Entrant {
  identity: Identity;
  address: string;
  userAgent: string | undefined;
}

/** A connection nobody has let in yet. */
interface Stranger {
  /** By which it has its place among the pending. */
  request: IncomingMessage;
  address: string;
  userAgent: string | undefined;
  attempts: number;
  isBusy: boolean;
  /** From the authentication until the connection is made. */
  identity: Identity | undefined;
}

/** Tokens one connection may try, one after the other, before it has to begin anew. */
const maxAttempts = 8;

const maxUserAgentLength = 256;

const mayTry = ({ isBusy, identity, attempts }: Stranger): boolean =>
  !isBusy && identity === undefined && attempts < maxAttempts;

/** From the first request of a connection to its authentication. A connection that ends on the way leaves nothing. */
export class Handshakes {
  readonly #deps: HandshakeDeps;
  readonly #strangers = new Map<EngineSocket, Stranger>();
  readonly #entrants = new WeakMap<Socket, Entrant>();
  readonly #forget: (this: EngineSocket) => void;

  constructor(deps: HandshakeDeps) {
    this.#deps = deps;
    const strangers = this.#strangers;
    // One function for all connections: a connection that lives long should not carry one of its own.
    this.#forget = function (this: EngineSocket) {
      const stranger = strangers.get(this);
      if (stranger === undefined) return;
      strangers.delete(this);
      deps.admission.leave(stranger.request);
      if (stranger.identity !== undefined) deps.abandoned?.(stranger.identity);
    };
  }

  /** A connection opened. */
  begin(engine: EngineSocket): void {
    const { request } = engine;
    const address = this.#deps.admission.keep(request);
    const userAgent = userAgentOf(request);
    this.#strangers.set(engine, { request, address, userAgent, attempts: 0, isBusy: false, identity: undefined });
    engine.once("close", this.#forget);
  }

  /** Middleware of the namespace: calls `next` in any case, or Socket.IO would keep the half-made socket for ever. */
  enter(socket: Socket, next: (error?: Error) => void): void {
    this.#answer(socket, next).catch((error: unknown) => this.#deps.failures.report("socket.handshake", error));
  }

  /** Who it is that was let in, while the handshake goes on. */
  entrantOf(socket: Socket): Entrant | undefined {
    return this.#entrants.get(socket);
  }

  /** Who it is that was let in; once, and undefined for a socket that did not come through `enter`. */
  complete(socket: Socket): Entrant | undefined {
    const entrant = this.#entrants.get(socket);
    this.#entrants.delete(socket);
    const stranger = this.#strangers.get(socket.conn);
    if (stranger !== undefined) this.#deps.admission.leave(stranger.request);
    this.#strangers.delete(socket.conn);
    socket.conn.off("close", this.#forget);
    return entrant;
  }

  async #answer(socket: Socket, next: (error?: Error) => void): Promise<void> {
    let refusal: Error | undefined;
    try {
      await this.#letIn(socket);
    } catch (error) {
      refusal = this.#refuse(socket, error);
    }
    next(refusal);
  }

  async #letIn(socket: Socket): Promise<void> {
    const stranger = this.#strangers.get(socket.conn);
    // A second CONNECT while the first is at work would put two sockets on one connection.
    if (stranger === undefined || !mayTry(stranger)) throw cutOff(socket);
    stranger.isBusy = true;
    stranger.attempts += 1;
    try {
      stranger.identity = await this.#authenticate(socket, stranger);
    } finally {
      stranger.isBusy = false;
    }
    this.#welcome(socket, stranger, stranger.identity);
  }

  #welcome(socket: Socket, stranger: Stranger, identity: Identity): void {
    const { address, userAgent } = stranger;
    if (this.#strangers.get(socket.conn) === stranger) this.#entrants.set(socket, { identity, address, userAgent });
    else this.#deps.abandoned?.(identity);
  }

  async #authenticate(socket: Socket, { address, userAgent, attempts }: Stranger): Promise<Identity> {
    // The first attempt was counted when the connection began.
    if (attempts > 1) await this.#deps.admission.askAgain(address);
    const privateId = socket.recovered ? privateIdOf(socket) : undefined;
    return this.#deps.authenticate(tokenOf(socket), { userAgent, privateId });
  }

  /** What is temporary ends the connection without an answer, so that a stock client tries again by itself. */
  #refuse(socket: Socket, error: unknown): Error {
    const refusal = refusalOf(error);
    if (refusal.code === "internal") this.#deps.failures.report("socket.handshake", error);
    const told = isHandshakeCode(refusal.code) ? refusal : insteadOf(refusal);
    this.#deps.metrics.handshakes.inc({ outcome: told.code });
    this.#deps.metrics.refusals.inc({ code: told.code, limiter: limiterOf(told) });
    if (isTemporary(told.code)) socket.conn.close();
    return Object.assign(new Error(told.code), { data: told.toBody() });
  }
}

const handshakeCodes = [
  "unauthorized",
  "token_expired",
  "token_revoked",
  "session_expired",
  "connection_limit",
  "rate_limited",
  "draining",
  "unavailable",
] as const satisfies ErrorCode[];

const isHandshakeCode = (code: ErrorCode): boolean => (handshakeCodes as readonly ErrorCode[]).includes(code);

/** Clients know a few codes at this place: what is broken here may be tried again, what the client sent may not. */
function insteadOf(refusal: GatewayError): GatewayError {
  if (refusal.code === "internal" || refusal.code === "writes_refused")
    return new GatewayError("unavailable", refusal.message, { retryAfterMs: 1_000 });
  return new GatewayError("unauthorized", refusal.message);
}

function cutOff(socket: Socket): GatewayError {
  socket.conn.close();
  return new GatewayError("unauthorized", "Too many attempts on one connection.");
}

/**
 * From `auth.token`, else from the header. Never from the query, which proxies and browsers write down: a token there is
 * refused even beside a good one, so that nobody gets used to it.
 */
function tokenOf(socket: Socket): unknown {
  const { auth, headers, query } = socket.handshake;
  if (auth[refused as never] !== undefined) throw auth[refused as never] as GatewayError;
  if ("token" in query || "access_token" in query) {
    throw new GatewayError("unauthorized", "A token in the query string is not accepted.");
  }
  return auth.token ?? /^Bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
}

function userAgentOf(request: IncomingMessage): string | undefined {
  return request.headers["user-agent"]?.slice(0, maxUserAgentLength);
}
