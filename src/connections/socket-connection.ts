import type { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";
import { Frame } from "../engine/batch.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import type { AuthenticatedConnection } from "./handshake.ts";
import { Outlet, type OutletContext, type OutletOwner } from "../engine/outlet.ts";
import { inOneWrite, webSocketOf } from "../engine/raw-socket.ts";

/** Shared by all connections of a node. */
export interface SharedConnectionContext extends OutletContext {
  clock: Clock;
  failures: ErrorReporter;
  /** Milliseconds a client may take to close before its transport is discarded. */
  closeTimeoutMs: number;
  /** The offset that a client sends back for connection state recovery. Omit to disable that recovery. */
  stampOf: ((connection: Connection) => number) | undefined;
  onIdentity(connection: Connection, previous: Identity): void;
  onClose(connection: SocketConnection, closing: Closing): void;
}

/**
 * A connection over a Socket.IO socket. It writes to Engine.IO directly: with recovery enabled, `socket.emit` would send
 * each event through the adapter to every node.
 */
export class SocketConnection implements Connection, OutletOwner {
  readonly id: string;
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly #socket: Socket;
  readonly #context: SharedConnectionContext;
  readonly #outlet: Outlet;
  #identity: Identity;
  #isOpen = true;
  /** Actions whose answers must be sent before `closing`. */
  #pendingAnswers = 0;
  #pendingClosing: Closing | undefined;

  constructor(
    socket: Socket,
    { identity, address, userAgent }: AuthenticatedConnection,
    context: SharedConnectionContext,
  ) {
    this.id = socket.id;
    this.address = address;
    this.userAgent = userAgent;
    this.#socket = socket;
    this.#context = context;
    this.#identity = identity;
    this.#outlet = new Outlet(socket.conn, this, context);
  }

  get identity(): Identity {
    return this.#identity;
  }

  get userId(): string {
    return this.#identity.userId;
  }

  set identity(identity: Identity) {
    const previous = this.#identity;
    this.#identity = identity;
    if (this.#isOpen) this.#context.onIdentity(this, previous);
  }

  /** The connection itself, so that delivery needs no lookup. */
  get subscriber(): Subscriber {
    return this;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Bytes in the send queue. */
  get queuedBytes(): number {
    return this.#outlet.waitingBytes;
  }

  emit(event: string, ...args: unknown[]): void {
    this.deliver(frameOf(event, ...args));
  }

  answer(id: number, answer: object): void {
    // Also after `close` if the closing waits for this answer.
    const isAwaited = this.#isOpen || this.#pendingClosing !== undefined;
    if (isAwaited && this.#socket.connected) this.#outlet.answer(`3${id}${JSON.stringify([answer])}`);
  }

  /** Adds a frame to the batch of this tick. */
  deliver(frame: Frame): void {
    if (this.#isOpen) this.#outlet.add(frame);
  }

  join(channel: string): void {
    if (this.#isOpen) void this.#socket.join(channel);
  }

  leave(channel: string): void {
    void this.#socket.leave(channel);
  }

  pauseReading(): void {
    webSocketOf(this.#socket.conn)?.pause?.();
  }

  resumeReading(): void {
    webSocketOf(this.#socket.conn)?.resume?.();
  }

  async answerFirst<T>(act: () => Promise<T>): Promise<T> {
    this.#pendingAnswers += 1;
    try {
      return await act();
    } finally {
      // The acknowledgement leaves within this turn of the event loop.
      setImmediate(() => this.#answered());
    }
  }

  #answered(): void {
    this.#pendingAnswers -= 1;
    const closing = this.#pendingClosing;
    if (this.#pendingAnswers > 0 || closing === undefined || !this.#socket.connected) return;
    this.#pendingClosing = undefined;
    this.#sendClosing(closing);
  }

  close(closing: Closing): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // To receive the client's answer to the close.
    this.resumeReading();
    // Before Socket.IO's disconnect event, which does not contain the reason.
    this.#context.onClose(this, closing);
    if (this.#pendingAnswers > 0) this.#pendingClosing = closing;
    else this.#sendClosing(closing);
  }

  #sendClosing(closing: Closing): void {
    inOneWrite(this.#socket.conn, () => {
      this.#outlet.sendLast(frameOf("closing", closing));
      this.#disconnect(closing.reconnect);
    });
  }

  get stamp(): number | undefined {
    return this.#context.stampOf?.(this);
  }

  /** Drops the send queue, so that `closing` arrives first; the client can recover the rest by its positions. */
  readTooSlowly(): void {
    this.#outlet.drop();
    this.close(closing("slow_consumer"));
  }

  /** The client has disconnected, or its transport has closed. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // Otherwise the transport would stay open without a namespace.
    this.#disconnect(true);
  }

  /**
   * Stock clients reconnect by themselves if the transport closes, and do not if the server sends a Socket.IO disconnect.
   * Both wait for the send queue, but only `closeTimeoutMs` for a client that does not read.
   */
  #disconnect(mayReturn: boolean): void {
    const { conn } = this.#socket;
    if (mayReturn) conn.close();
    else this.#socket.disconnect(true);
    if (conn.readyState === "closed") return;
    const { clock, failures, closeTimeoutMs } = this.#context;
    conn.once(
      "close",
      clock.after(
        closeTimeoutMs,
        failures.guard("socket.close", () => conn.close(true)),
      ),
    );
  }
}

const frameOf = (event: string, ...args: unknown[]): Frame =>
  new Frame(Buffer.from(`42${JSON.stringify([event, ...args])}`));
