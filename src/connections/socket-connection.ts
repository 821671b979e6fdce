import { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ConnectionWriter } from "../engine/connection-writer.ts";
import type { ConnectionOwner, EngineSocket } from "../engine/engine-socket.ts";
import { Frame } from "../engine/frames.ts";
import type { AppConnection, ClientHandshake, Connection } from "./connection.ts";
import type { AuthenticatedConnection } from "./handshake.ts";
import {
  acknowledge,
  engineSocketOf,
  expectAcknowledgement,
  forgetAcknowledgement,
  hasBinary,
  sendBinaryRequest,
} from "./socket-io.ts";
import { rememberRooms, roomsOf } from "./socket-state.ts";
import { renameUser } from "./socket-user.ts";

/** Shared by all connections of a node. */
export interface SharedConnectionContext {
  clock: Pick<Clock, "now">;
  /** The offset that a client sends back for connection state recovery. Omit to disable that recovery. */
  timestampOf: ((connection: Connection) => number) | undefined;
  onIdentity(connection: Connection, previous: Identity): void;
  onClose(connection: SocketConnection, closing: Closing): void;
}

/** Max requests to a client that it has not answered; it is not asked further ones. */
const maxPendingRequests = 100;

/** The text of an event of the main namespace that requests no acknowledgement, and whose last argument is a string. */
const eventThatEndsInString = /^(?:2|5\d+-)\[.*"\]$/s;

/**
 * A connection over a Socket.IO socket. It writes to the engine directly: with recovery enabled, `socket.emit` would send
 * each event through the adapter to every node.
 */
export class SocketConnection implements AppConnection, ConnectionOwner {
  readonly id: string;
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly connectedAt: number;
  readonly #socket: Socket;
  readonly #context: SharedConnectionContext;
  readonly #conn: EngineSocket;
  /** The writer of `#conn`, so that a delivery touches one object less. */
  readonly #writer: ConnectionWriter;
  #identity: Identity;
  #isOpen = true;
  /** Actions whose answers must be sent before `closing`. */
  #pendingAnswers = 0;
  #pendingClosing: Closing | undefined;
  /** Whether only the namespace of the socket was disconnected: its client may enter the others again. */
  #leavesOthers = false;
  /** Ends each request that the client has not answered. Undefined until the first. */
  #pendingRequests: Set<() => void> | undefined;

  constructor(
    socket: Socket,
    { identity, address, userAgent }: AuthenticatedConnection,
    context: SharedConnectionContext,
  ) {
    this.id = socket.id;
    this.address = address;
    this.userAgent = userAgent;
    this.connectedAt = context.clock.now();
    this.#socket = socket;
    this.#context = context;
    this.#identity = identity;
    this.#conn = engineSocketOf(socket);
    this.#conn.owner = this;
    this.#writer = this.#conn.writer;
  }

  get identity(): Identity {
    return this.#identity;
  }

  get handshake(): ClientHandshake {
    return this.#socket.handshake;
  }

  get namespace(): string {
    return this.#socket.nsp.name;
  }

  get transport(): string {
    return this.#conn.transport.name;
  }

  get userId(): string {
    return this.#identity.userId;
  }

  get rooms(): Iterable<unknown> | undefined {
    return roomsOf(this.#socket);
  }

  get data(): unknown {
    return this.#socket.data;
  }

  set identity(identity: Identity) {
    const previous = this.#identity;
    this.#identity = identity;
    renameUser(this.#socket, identity);
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
    return this.#writer.waitingBytes;
  }

  emit(event: string, ...args: unknown[]): void {
    this.deliver(frameOf(event, ...args));
  }

  emitFromApp(event: string, args: readonly unknown[]): void {
    if (!hasBinary(args)) this.emit(event, ...args);
    else if (this.#isOpen) this.#socket.emit(event, ...args);
  }

  request(event: string, args: readonly unknown[], signal: AbortSignal): Promise<readonly unknown[] | undefined> {
    const pending = (this.#pendingRequests ??= new Set());
    if (!this.#isOpen || signal.aborted || pending.size >= maxPendingRequests) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const id = expectAcknowledgement(this.#socket, (...answer) => end(answer));
      const giveUp = (): void => end();
      const end = (answer?: readonly unknown[]): void => {
        pending.delete(giveUp);
        signal.removeEventListener("abort", giveUp);
        forgetAcknowledgement(this.#socket, id);
        resolve(answer);
      };
      pending.add(giveUp);
      signal.addEventListener("abort", giveUp);
      this.#send(id, [event, ...args]);
    });
  }

  #send(id: number, data: readonly unknown[]): void {
    if (hasBinary(data)) sendBinaryRequest(this.#socket, id, data);
    else this.deliver(Frame.text(`42${id}${JSON.stringify(data)}`, { isOwn: true }));
  }

  #endRequests(): void {
    for (const giveUp of this.#pendingRequests ?? []) giveUp();
  }

  answer(id: number, answer: object): void {
    this.acknowledge(id, [answer], false);
  }

  acknowledge(id: number, args: readonly unknown[], mayBeBinary = true): void {
    // Also after `close` if the closing waits for this answer.
    const isAwaited = this.#isOpen || this.#pendingClosing !== undefined;
    if (!isAwaited || !this.#socket.connected) return;
    if (mayBeBinary && hasBinary(args)) return acknowledge(this.#socket, id, args);
    this.#writer.add(Frame.text(`43${id}${JSON.stringify(args)}`, { isOwn: true }));
  }

  /** Adds a frame to the batch of this tick. */
  deliver(frame: Frame): void {
    if (this.#isOpen) this.#writer.add(frame);
  }

  // Not through the socket, whose `join` and `leave` are the app's: they subscribe and unsubscribe.
  join(channel: string): void {
    if (this.#isOpen) void this.#socket.nsp.adapter.addAll(this.id, new Set([channel]));
  }

  leave(channel: string): void {
    void this.#socket.nsp.adapter.del(this.id, channel);
  }

  pauseReading(): void {
    this.#conn.transport.pause();
  }

  resumeReading(): void {
    this.#conn.transport.resume();
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
    this.#endRequests();
    // To receive the client's answer to the close.
    this.resumeReading();
    // Before Socket.IO's disconnect event, which does not contain the reason.
    this.#context.onClose(this, closing);
    if (this.#pendingAnswers > 0) this.#pendingClosing = closing;
    else this.#sendClosing(closing);
  }

  /** An app, another node or an emitter disconnects the socket; with `all`, in every namespace. */
  disconnect(all: boolean): void {
    this.#leavesOthers = !all;
    this.close(closing("disconnected_by_backend"));
  }

  /** Leaves in one write with Socket.IO's disconnect and the transport's close. */
  #sendClosing(closing: Closing): void {
    this.#writer.add(frameOf("closing", closing));
    this.#disconnect(closing.reconnect);
  }

  /**
   * Stock clients take a string at the end of any event for their recovery offset, so events of other programs get the
   * offset appended, as Socket.IO's own servers do.
   */
  outgoing(message: string): string {
    const timestamp = this.#context.timestampOf?.(this);
    return timestamp === undefined || !eventThatEndsInString.test(message)
      ? message
      : `${message.slice(0, -1)},"${timestamp}"]`;
  }

  /** Drops the send queue, so that `closing` arrives first; the client can recover the rest by its positions. */
  readTooSlowly(): void {
    this.#writer.drop();
    this.close(closing("slow_consumer"));
  }

  /** The client has disconnected, or its transport has closed. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#endRequests();
    this.#writer.drop();
    // Otherwise the transport would stay open without a namespace.
    this.#disconnect(true);
  }

  /**
   * Stock clients reconnect by themselves if the transport closes, and do not if the server sends a Socket.IO disconnect.
   * Both wait a moment for the send queue.
   */
  #disconnect(mayReturn: boolean): void {
    if (!mayReturn) {
      // One that was replaced leaves them to the next.
      rememberRooms(this.#socket, [...this.#socket.rooms]);
      // Not the socket's own, which closes this connection.
      Socket.prototype.disconnect.call(this.#socket, !this.#leavesOthers);
    }
    this.#conn.close();
  }
}

const frameOf = (event: string, ...args: unknown[]): Frame =>
  Frame.text(`42${JSON.stringify([event, ...args])}`, { isOwn: true });

/** Of a socket of the main namespace. */
export function connectionOf(socket: Socket): SocketConnection | undefined {
  const { owner } = engineSocketOf(socket);
  return owner instanceof SocketConnection ? owner : undefined;
}
