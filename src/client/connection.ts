import type { Closing } from "../protocol/closings.ts";
import type { HandshakeRefusal } from "../protocol/wire.ts";
import { type Backoff, delayBefore } from "./backoff.ts";
import { isTemporary, TidegateError, type TidegateErrorCode } from "./errors.ts";
import type { GatewaySocket } from "./socket.ts";
import type { Tokens } from "./tokens.ts";

export type Phase = "waiting" | "connecting" | "open" | "closed";

/** Why there is no connection, and when the next attempt follows. */
export interface Trouble {
  error: TidegateError;
  retryInMs?: number;
}

/** What a connection tells its client. */
export interface ConnectionReader {
  phase(phase: Phase, trouble?: Trouble): void;
  /** A connection began, before anything is received on it. */
  opened(recovered: boolean): void;
  /** What Socket.IO's own recovery brings back has been received: the node said `ready`. */
  replayed(): void;
  cut(): void;
}

export interface ConnectionOptions {
  backoff: Backoff;
  connectTimeoutMs: number;
}

/** A connection that lasted so long was a good one: the next trouble is a new one. */
const stableAfterMs = 5_000;

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
  #phase: Phase = "waiting";
  #number = 0;
  #isOpen = false;
  #failures = 0;
  #hasAskedAgain = false;
  #isMoving = false;
  /** The next step in time: the end of an attempt, the next attempt, or the moment a connection counts as stable. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: GatewaySocket, tokens: Tokens, options: ConnectionOptions, reader: ConnectionReader) {
    this.#socket = socket;
    this.#tokens = tokens;
    this.#options = options;
    this.#reader = reader;
    socket.on("connect", () => this.#connected());
    socket.on("connect_error", (error) => this.#failed(refusalOf(error)));
    socket.on("disconnect", (reason) => this.#disconnected(reason));
    // What recovery brings back arrives before `ready`, with some servers even before `connect`; whoever reads it has
    // to know first that a connection began.
    socket.prependAny(() => this.#begin());
    socket.on("ready", () => this.#reader.replayed());
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
    const late = new TidegateError("timeout", "No connection in time.");
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
    this.#socket.auth = { token };
    this.#socket.connect();
  }

  #connected(): void {
    this.#after(stableAfterMs, () => (this.#failures = 0));
    this.#hasAskedAgain = false;
    this.#begin();
    this.#setPhase("open");
  }

  #begin(): void {
    if (this.#isOpen || !this.#socket.connected) return;
    this.#isOpen = true;
    this.#number += 1;
    this.#reader.opened(this.#socket.recovered);
  }

  #failed(error: TidegateError): void {
    if (this.#phase !== "connecting") return;
    this.#socket.disconnect();
    if (this.#mayAskAgain(error.code)) this.#retry(error, 0);
    else if (isTemporary(error.code)) this.#retry(error);
    else this.close(error);
  }

  /** Once: a provider that gives a refused token twice has no better one. */
  #mayAskAgain(code: TidegateErrorCode): boolean {
    if (!tokenCodes.has(code) || !this.#tokens.canRefresh || this.#hasAskedAgain) return false;
    this.#hasAskedAgain = true;
    return true;
  }

  #disconnected(reason: string): void {
    clearTimeout(this.#drainTimer);
    this.#isOpen = false;
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
    const canReturn = reconnect || (tokenCodes.has(code) && this.#tokens.canRefresh);
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

/** A handshake refused by name, or no connection at all. */
function refusalOf(error: Error & { data?: unknown }): TidegateError {
  const refusal = error.data as Partial<HandshakeRefusal> | undefined;
  if (refusal?.code === undefined)
    return new TidegateError("disconnected", `No connection: ${error.message}.`, { cause: error });
  const { retryAfterMs } = refusal;
  return new TidegateError(
    refusal.code,
    refusal.message ?? error.message,
    retryAfterMs === undefined ? {} : { retryAfterMs },
  );
}
