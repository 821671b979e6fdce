import type { Closing } from "../protocol/closings.ts";
import type { Ready } from "../protocol/wire.ts";
import { type Backoff, delayBefore } from "./backoff.ts";
import { isTemporary, TidegateError, type TidegateErrorCode } from "./errors.ts";
import { toConnectError, statusOf } from "./refusal.ts";
import { defaultPath, type GatewaySocket } from "./socket.ts";
import { isJsonWebToken, type TokenSource } from "./tokens.ts";
import { TransportOrder } from "./transport-order.ts";

export type ConnectionPhase = "waiting" | "connecting" | "open" | "closed";

/** Why there is no connection, and when the next attempt follows. */
export interface ConnectionProblem {
  error: TidegateError;
  retryInMs?: number;
}

/** Callbacks of a connection. */
export interface ConnectionListener {
  phase(phase: ConnectionPhase, trouble?: ConnectionProblem): void;
  /** Max bytes per message of this node. Called before anything is sent on a connection. */
  payloadLimit(maxBytes: number): void;
  /** Called before anything is received on a new connection. */
  connected(recovered: boolean): void;
  /** The node sent `ready`: everything that Socket.IO's recovery replays has been received. */
  recoveryEnded(ready: Ready): void;
  disconnected(): void;
}

export interface ReconnectOptions {
  backoff: Backoff;
  connectTimeoutMs: number;
  /** Max wait for the answer that shows, after a sleep, that the connection is alive. */
  wakeTimeoutMs: number;
}

/** A connection that lasted this long resets the backoff. */
const stableAfterMs = 5_000;

/** After this many HTTP 404 responses, without any connection before, the configured path is considered wrong. */
const maxNotFound = 2;

/** Errors that another token may resolve. */
const tokenCodes: readonly TidegateErrorCode[] = ["unauthorized", "token_expired"];

/**
 * Keeps one Socket.IO connection to any node, reconnecting until it is closed. Socket.IO's own reconnection is
 * disabled, because it gives up after a refused handshake and does not support delays requested by the gateway.
 */
export class ReconnectingConnection {
  readonly #socket: GatewaySocket;
  readonly #tokens: TokenSource;
  readonly #options: ReconnectOptions;
  readonly #listener: ConnectionListener;
  readonly #transports: TransportOrder;
  #phase: ConnectionPhase = "waiting";
  #number = 0;
  #isOpen = false;
  #failures = 0;
  #token = "";
  #hasRefetchedToken = false;
  #notFound = 0;
  #isLeavingNode = false;
  #isChecking = false;
  /** Timeout of the attempt, delay before the next attempt, or time until the connection counts as stable. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: GatewaySocket, tokens: TokenSource, options: ReconnectOptions, listener: ConnectionListener) {
    this.#socket = socket;
    this.#tokens = tokens;
    this.#options = options;
    this.#listener = listener;
    this.#transports = new TransportOrder(socket);
    socket.on("connect", () => this.#connected());
    socket.on("connect_error", (error) => this.#refused(error));
    socket.on("disconnect", (reason) => this.#disconnected(reason));
    // Recovered packets arrive before `ready`, with some servers even before `connect`; the listener must know about
    // the connection first.
    socket.prependAny(() => this.#started());
    socket.on("ready", (ready) => this.#listener.recoveryEnded(ready));
    socket.on("drain", ({ reconnectAfterMs }) => this.#drain(reconnectAfterMs));
    socket.on("closing", (closing) => this.#closing(closing));
  }

  /** Number of the current connection; undefined while disconnected. */
  get number(): number | undefined {
    return this.#isOpen ? this.#number : undefined;
  }

  /** Skips the delay before the next attempt. */
  connect(): void {
    if (this.#phase === "waiting") void this.#attempt();
  }

  /** After a sleep: skips the delay before the next attempt, and leaves a connection on which nothing is answered. */
  wake(): void {
    this.connect();
    const { number } = this;
    if (number === undefined || this.#isChecking) return;
    this.#isChecking = true;
    // Any answer will do; this one needs no Redis.
    this.#socket.timeout(this.#options.wakeTimeoutMs).emit("unsubscribe", { channel: "-" }, (failure) => {
      this.#isChecking = false;
      if (failure !== null && this.number === number) this.#leaveNode();
    });
  }

  close(reason: TidegateError): void {
    if (this.#phase === "closed") return;
    clearTimeout(this.#timer);
    this.#setPhase("closed", { error: reason });
    this.#socket.disconnect();
  }

  async #attempt(): Promise<void> {
    this.#setPhase("connecting");
    const late = new TidegateError("timeout", "Connecting timed out.");
    const timer = this.#after(this.#options.connectTimeoutMs, () => this.#failed(late));
    const isCurrent = (): boolean => this.#phase === "connecting" && this.#timer === timer;
    try {
      const token = await this.#tokens.get();
      if (isCurrent()) this.#open(token);
    } catch (error) {
      if (isCurrent()) this.#failed(error as TidegateError);
    }
  }

  #open(token: string): void {
    this.#token = token;
    this.#socket.auth = { token };
    this.#transports.apply();
    this.#socket.connect();
    this.#socket.io.engine.once("handshake", ({ maxPayload }) => this.#listener.payloadLimit(maxPayload));
  }

  #connected(): void {
    this.#after(stableAfterMs, () => (this.#failures = 0));
    this.#hasRefetchedToken = false;
    this.#transports.connected();
    this.#started();
    this.#setPhase("open");
  }

  #started(): void {
    if (this.#isOpen || !this.#socket.connected) return;
    this.#isOpen = true;
    this.#number += 1;
    this.#listener.connected(this.#socket.recovered);
  }

  #refused(error: Error): void {
    this.#notFound = statusOf(error) === 404 ? this.#notFound + 1 : 0;
    const { path } = this.#socket.io.opts;
    const isPathWrong = path !== defaultPath && this.#number === 0 && this.#notFound >= maxNotFound;
    if (!isPathWrong) return this.#failed(toConnectError(error));
    this.close(new TidegateError("not_found", `There is no gateway at this address: ${path} returned HTTP 404.`));
  }

  #failed(error: TidegateError): void {
    if (this.#phase !== "connecting") return;
    this.#transports.failed(error.code);
    this.#socket.disconnect();
    if (this.#mayRefetchToken(error.code)) this.#retry(error, 0);
    else if (isTemporary(error.code) || this.#isNoToken(error.code)) this.#retry(error);
    else this.close(error);
  }

  /** Only once: a provider whose second token is also refused has no better one. */
  #mayRefetchToken(code: TidegateErrorCode): boolean {
    if (!tokenCodes.includes(code) || !this.#tokens.canRefresh || this.#hasRefetchedToken) return false;
    this.#hasRefetchedToken = true;
    return true;
  }

  /** The token function returned something else, such as the text of an error page; its next result may be a token. */
  #isNoToken(code: TidegateErrorCode): boolean {
    return code === "unauthorized" && this.#tokens.canRefresh && !isJsonWebToken(this.#token);
  }

  #disconnected(reason: string): void {
    clearTimeout(this.#drainTimer);
    this.#isOpen = false;
    if (this.#phase === "connecting") this.#transports.failed("disconnected");
    const lost = new TidegateError("disconnected", `The connection was lost: ${reason}.`);
    if (this.#phase !== "closed") this.#retry(lost, this.#isLeavingNode ? 0 : undefined);
    this.#isLeavingNode = false;
    this.#listener.disconnected();
  }

  #retry(error: TidegateError, delayMs?: number): void {
    const retryInMs = delayMs ?? delayBefore(this.#failures, this.#options.backoff, error);
    if (delayMs === undefined) this.#failures += 1;
    this.#after(retryInMs, () => this.connect());
    this.#setPhase("waiting", { error, retryInMs });
  }

  #closing({ code, message, reconnect }: Closing): void {
    const canReturn = code === "token_expired" ? this.#tokens.canRefresh : reconnect;
    if (!canReturn) this.close(new TidegateError(code, message));
  }

  /** Leaves shortly before the node would disconnect it, with jitter. */
  #drain(reconnectAfterMs: number): void {
    clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#leaveNode(), reconnectAfterMs * (0.75 + Math.random() / 4));
  }

  /** Without DISCONNECT, so that Socket.IO's recovery still works on the next connection. */
  #leaveNode(): void {
    this.#isLeavingNode = true;
    this.#socket.io.engine.close();
  }

  #after(delayMs: number, run: () => void): ReturnType<typeof setTimeout> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, delayMs);
    return this.#timer;
  }

  #setPhase(phase: ConnectionPhase, trouble?: ConnectionProblem): void {
    this.#phase = phase;
    this.#listener.phase(phase, trouble);
  }
}
