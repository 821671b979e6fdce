import type { Closing } from "../protocol/closings.ts";
import type { Ready } from "../protocol/wire.ts";
import { type Backoff, delayBefore } from "./backoff.ts";
import { isTemporary, TidegateError, type TidegateErrorCode } from "./errors.ts";
import { refusalOf, statusOf } from "./refusal.ts";
import { defaultPath, type GatewaySocket } from "./socket.ts";
import { isJsonWebToken, type Tokens } from "./tokens.ts";
import { TransportOrder } from "./transport-order.ts";

export type Phase = "waiting" | "connecting" | "open" | "closed";

/** Why there is no connection, and when the next attempt follows. */
export interface Trouble {
  error: TidegateError;
  retryInMs?: number;
}

/** What a connection tells its client. */
export interface ConnectionReader {
  phase(phase: Phase, trouble?: Trouble): void;
  /** The node takes messages of so many bytes. Told before anything is sent on a connection. */
  limit(maxBytes: number): void;
  /** A connection began, before anything is received on it. */
  opened(recovered: boolean): void;
  /** The node said `ready`: what Socket.IO's own recovery brings back has been received. */
  replayed(ready: Ready): void;
  cut(): void;
}

export interface ConnectionOptions {
  backoff: Backoff;
  connectTimeoutMs: number;
}

/** A connection that lasted so long was a good one: the next trouble is a new one. */
const stableAfterMs = 5_000;

/** So many answers of "404 Not Found" below a path, without any connection before them, and the path is wrong. */
const maxNotFound = 2;

/** With a fresh token these may pass. */
const tokenCodes: ReadonlySet<TidegateErrorCode> = new Set(["unauthorized", "token_expired"]);

/**
 * Keeps one Socket.IO connection to whichever node answers: tries, waits and tries again until it is closed. Socket.IO's
 * own reconnection is switched off, since it gives up where a node refuses the handshake, and knows of no delay that a
 * gateway asks for.
 */
export class Connection {
  readonly #socket: GatewaySocket;
  readonly #tokens: Tokens;
  readonly #options: ConnectionOptions;
  readonly #reader: ConnectionReader;
  readonly #transports: TransportOrder;
  #phase: Phase = "waiting";
  #number = 0;
  #isOpen = false;
  #failures = 0;
  #token = "";
  #hasAskedAgain = false;
  #notFound = 0;
  #isMoving = false;
  /** The next step in time: the end of an attempt, the next attempt, or the moment a connection counts as stable. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: GatewaySocket, tokens: Tokens, options: ConnectionOptions, reader: ConnectionReader) {
    this.#socket = socket;
    this.#tokens = tokens;
    this.#options = options;
    this.#reader = reader;
    this.#transports = new TransportOrder(socket);
    socket.on("connect", () => this.#connected());
    socket.on("connect_error", (error) => this.#refused(error));
    socket.on("disconnect", (reason) => this.#disconnected(reason));
    // What recovery brings back arrives before `ready`, with some servers even before `connect`; whoever reads it has
    // to know first that a connection began.
    socket.prependAny(() => this.#begin());
    socket.on("ready", (ready) => this.#reader.replayed(ready));
    socket.on("drain", ({ reconnectAfterMs }) => this.#drain(reconnectAfterMs));
    socket.on("closing", (closing) => this.#closing(closing));
  }

  /** Another number for every connection; undefined while there is none. */
  get number(): number | undefined {
    return this.#isOpen ? this.#number : undefined;
  }

  /** Tries at once where the next attempt is being waited for. */
  connect(): void {
    if (this.#phase === "waiting") void this.#attempt();
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
    this.#socket.io.engine.once("handshake", ({ maxPayload }) => this.#reader.limit(maxPayload));
  }

  #connected(): void {
    this.#after(stableAfterMs, () => (this.#failures = 0));
    this.#hasAskedAgain = false;
    this.#transports.connected();
    this.#begin();
    this.#setPhase("open");
  }

  #begin(): void {
    if (this.#isOpen || !this.#socket.connected) return;
    this.#isOpen = true;
    this.#number += 1;
    this.#reader.opened(this.#socket.recovered);
  }

  #refused(error: Error): void {
    this.#notFound = statusOf(error) === 404 ? this.#notFound + 1 : 0;
    const { path } = this.#socket.io.opts;
    const isPathWrong = path !== defaultPath && this.#number === 0 && this.#notFound >= maxNotFound;
    if (!isPathWrong) return this.#failed(refusalOf(error));
    this.close(new TidegateError("not_found", `There is no gateway at this address: ${path} returned HTTP 404.`));
  }

  #failed(error: TidegateError): void {
    if (this.#phase !== "connecting") return;
    this.#transports.failed(error.code);
    this.#socket.disconnect();
    if (this.#mayAskAgain(error.code)) this.#retry(error, 0);
    else if (isTemporary(error.code) || this.#isNoToken(error.code)) this.#retry(error);
    else this.close(error);
  }

  /** Once: a provider that gives a refused token twice has no better one. */
  #mayAskAgain(code: TidegateErrorCode): boolean {
    if (!tokenCodes.has(code) || !this.#tokens.canRefresh || this.#hasAskedAgain) return false;
    this.#hasAskedAgain = true;
    return true;
  }

  /** What the token function gave was no token, such as the one word of an error page: its next answer may be one. */
  #isNoToken(code: TidegateErrorCode): boolean {
    return code === "unauthorized" && this.#tokens.canRefresh && !isJsonWebToken(this.#token);
  }

  #disconnected(reason: string): void {
    clearTimeout(this.#drainTimer);
    this.#isOpen = false;
    if (this.#phase === "connecting") this.#transports.failed("disconnected");
    if (this.#phase !== "closed")
      this.#comeBack(new TidegateError("disconnected", `The connection was lost: ${reason}.`));
    this.#reader.cut();
  }

  #comeBack(error: TidegateError): void {
    if (this.#isMoving) this.#retry(error, 0);
    else this.#retry(error);
    this.#isMoving = false;
  }

  #retry(error: TidegateError, delayMs?: number): void {
    const retryInMs = delayMs ?? delayBefore(this.#failures, this.#options.backoff, error.retryAfterMs);
    if (delayMs === undefined) this.#failures += 1;
    this.#after(retryInMs, () => this.connect());
    this.#setPhase("waiting", { error, retryInMs });
  }

  #closing({ code, message, reconnect }: Closing): void {
    const canReturn = code === "token_expired" ? this.#tokens.canRefresh : reconnect;
    if (!canReturn) this.close(new TidegateError(code, message));
  }

  /** Goes a little before it is sent away, and not at the same moment as everybody else. */
  #drain(reconnectAfterMs: number): void {
    clearTimeout(this.#drainTimer);
    this.#drainTimer = setTimeout(() => this.#move(), reconnectAfterMs * (0.75 + Math.random() / 4));
  }

  /** Without a goodbye, so that the next node may still find what Socket.IO's own recovery keeps of this connection. */
  #move(): void {
    this.#isMoving = true;
    this.#socket.io.engine.close();
  }

  #after(delayMs: number, run: () => void): ReturnType<typeof setTimeout> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, delayMs);
    return this.#timer;
  }

  #setPhase(phase: Phase, trouble?: Trouble): void {
    this.#phase = phase;
    this.#reader.phase(phase, trouble);
  }
}
