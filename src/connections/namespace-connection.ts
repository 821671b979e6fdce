import type { Socket } from "socket.io";
import type { Identity } from "../auth/identity.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { Closing } from "../protocol/closings.ts";
import type { AppConnection, ClientHandshake } from "./connection.ts";
import { acknowledge, hasBinary } from "./socket-io.ts";

/** A connection as its app sees it in another namespace than the main one: events and answers are that namespace's. */
export class NamespaceConnection implements AppConnection {
  readonly id: string;
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly connectedAt: number;
  readonly namespace: string;
  readonly #connection: AppConnection;
  readonly #socket: Socket;

  constructor(connection: AppConnection, socket: Socket) {
    this.id = connection.id;
    this.address = connection.address;
    this.userAgent = connection.userAgent;
    this.connectedAt = connection.connectedAt;
    this.namespace = socket.nsp.name;
    this.#connection = connection;
    this.#socket = socket;
  }

  get userId(): string {
    return this.#connection.userId;
  }

  get identity(): Identity {
    return this.#connection.identity;
  }

  set identity(identity: Identity) {
    this.#connection.identity = identity;
  }

  get handshake(): ClientHandshake {
    return this.#socket.handshake;
  }

  get transport(): string {
    return this.#connection.transport;
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  get subscriber(): Subscriber {
    return this.#connection.subscriber;
  }

  get isOpen(): boolean {
    return this.#connection.isOpen && this.#socket.connected;
  }

  emit(event: string, ...args: unknown[]): void {
    if (this.isOpen) this.#socket.emit(event, ...args);
  }

  emitFromApp(event: string, args: readonly unknown[]): void {
    hasBinary(args);
    this.emit(event, ...args);
  }

  request(event: string, args: readonly unknown[], signal: AbortSignal): Promise<readonly unknown[] | undefined> {
    return this.#connection.request(event, args, signal);
  }

  answer(id: number, answer: object): void {
    this.acknowledge(id, [answer]);
  }

  acknowledge(id: number, args: readonly unknown[]): void {
    if (this.#socket.connected) acknowledge(this.#socket, id, args);
  }

  join(channel: string): void {
    this.#connection.join(channel);
  }

  leave(channel: string): void {
    this.#connection.leave(channel);
  }

  pauseReading(): void {
    this.#connection.pauseReading();
  }

  resumeReading(): void {
    this.#connection.resumeReading();
  }

  answerFirst<T>(act: () => Promise<T>): Promise<T> {
    return this.#connection.answerFirst(act);
  }

  close(closing: Closing): void {
    this.#connection.close(closing);
  }
}
