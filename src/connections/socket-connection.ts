import type { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";
import { Frame } from "../engine/batch.ts";
import type { Failures } from "./failures.ts";
import type { Entrant } from "./handshake.ts";
import { Outlet, type OutletContext, type OutletOwner } from "../engine/outlet.ts";
import { inOneWrite, webSocketOf } from "../engine/raw-socket.ts";

/** What all connections of a node have in common. */
export interface ConnectionContext extends OutletContext {
  clock: Clock;
  failures: Failures;
  /** Milliseconds a client may take to let go before its transport is thrown away. */
  closeTimeoutMs: number;
  /** What a client is to hand back when it returns by Socket.IO's own recovery. Absent: that is off. */
  stampOf: ((connection: Connection) => number) | undefined;
  onIdentity(connection: Connection, previous: Identity): void;
  onClose(connection: SocketConnection, closing: Closing): void;
}

/**
 * A Socket.IO socket as a connection. It writes to Engine.IO itself: `socket.emit` would, once recovery is switched on,
 * send each event through the adapter to every node.
 */
export class SocketConnection implements Connection, Subscriber, OutletOwner {
  readonly id: string;
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly #socket: Socket;
  readonly #context: ConnectionContext;
  readonly #outlet: Outlet;
  #identity: Identity;
  #isOpen = true;
  /** Acts that are to be answered before a goodbye. */
  #unanswered = 0;
  #goodbye: Closing | undefined;

  constructor(socket: Socket, { identity, address, userAgent }: Entrant, context: ConnectionContext) {
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

  set identity(identity: Identity) {
    const previous = this.#identity;
    this.#identity = identity;
    if (this.#isOpen) this.#context.onIdentity(this, previous);
  }

  /** The connection itself, so that whoever delivers needs no table to find it. */
  get subscriber(): Subscriber {
    return this;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Bytes that wait for the client in this process. */
  get waitingBytes(): number {
    return this.#outlet.waitingBytes;
  }

  emit(event: string, ...args: unknown[]): void {
    this.deliver(frameOf(event, ...args));
  }

  answer(id: number, answer: object): void {
    // Also where it is closed already, if the goodbye waits for it.
    const isAwaited = this.#isOpen || this.#goodbye !== undefined;
    if (isAwaited && this.#socket.connected) this.#outlet.answer(`3${id}${JSON.stringify([answer])}`);
  }

  /** A publication, or what else the server says, in the batch of this turn. */
  deliver(frame: Frame): void {
    if (this.#isOpen) this.#outlet.add(frame);
  }

  join(channel: string): void {
    if (this.#isOpen) void this.#socket.join(channel);
  }

  leave(channel: string): void {
    void this.#socket.leave(channel);
  }

  stopReading(): void {
    webSocketOf(this.#socket.conn)?.pause?.();
  }

  readOn(): void {
    webSocketOf(this.#socket.conn)?.resume?.();
  }

  async answerFirst<T>(act: () => Promise<T>): Promise<T> {
    this.#unanswered += 1;
    try {
      return await act();
    } finally {
      // The acknowledgement leaves within this turn of the event loop.
      setImmediate(() => this.#answered());
    }
  }

  #answered(): void {
    this.#unanswered -= 1;
    const closing = this.#goodbye;
    if (this.#unanswered > 0 || closing === undefined || !this.#socket.connected) return;
    this.#goodbye = undefined;
    this.#sayGoodbye(closing);
  }

  close(closing: Closing): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // For the client's answer to the close.
    this.readOn();
    // Ahead of Socket.IO's own word for it, which says nothing of the reason.
    this.#context.onClose(this, closing);
    if (this.#unanswered > 0) this.#goodbye = closing;
    else this.#sayGoodbye(closing);
  }

  #sayGoodbye(closing: Closing): void {
    inOneWrite(this.#socket.conn, () => {
      this.#outlet.sendLast(frameOf("closing", closing));
      this.#disconnect(closing.reconnect);
    });
  }

  get stamp(): number | undefined {
    return this.#context.stampOf?.(this);
  }

  /** It is told so ahead of what it has not read; that it can have again by its positions. */
  readTooSlowly(): void {
    this.#outlet.drop();
    this.close(closing("slow_consumer"));
  }

  /** The client said goodbye, or its transport is gone. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // Without its namespace the transport would live on, open to nobody.
    this.#disconnect(true);
  }

  /**
   * Stock clients come back by themselves where the transport closes, and stay away where the server says goodbye in
   * Socket.IO's own words. Either waits for what was queued; a client that does not read is not waited for long.
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
