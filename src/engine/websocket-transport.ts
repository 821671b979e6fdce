import type { Socket as NetSocket } from "node:net";
import type { Receiver } from "ws";
import type { Cancel, Clock } from "../runtime/clock.ts";
import { handleOf, type NetHandle } from "../runtime/net-handle.ts";
import type { DirectWrite, WriteListener } from "./direct-write.ts";
import type { SocketWriter } from "./multi-socket-write.ts";
import type { SendQueue } from "./send-queue.ts";
import type { Transport, TransportEnd, TransportOwner } from "./transport.ts";
import { closeCodeOf, createReceiver, invalidUtf8, readWhole, tooLarge } from "./websocket-receiver.ts";

export interface WebSocketContext {
  /** Max bytes of one message of an authenticated connection. */
  readonly maxPayload: number;
  /** Max milliseconds until a client has answered a close; then its socket is destroyed. */
  readonly closeTimeoutMs: number;
  readonly clock: Clock;
  /** Omit to write through the stream. */
  readonly writeDirectly: DirectWrite | undefined;
  /** Receives errors thrown while a message was handled. */
  failed(error: unknown): void;
}

const carried: unique symbol = Symbol("transport");

/** A network socket with its transport, so that connections share their listeners. */
type CarryingSocket = NetSocket & { [carried]: WebSocketTransport };

type CarryingReceiver = Receiver & { [carried]: WebSocketTransport };

const pongCode = 0x8a;
const emptyClose = Buffer.from([0x88, 0x00]);

const closeFrame = (code: number): Buffer => Buffer.from([0x88, 0x02, code >> 8, code & 0xff]);

/** Close without a status (RFC 6455, 7.4.1): it has no body. */
const noStatus = 1005;

/** Engine.IO over a WebSocket: one packet per message, without compression. */
export class WebSocketTransport implements Transport, SocketWriter, WriteListener {
  readonly name = "websocket";
  owner: TransportOwner;
  readonly #socket: NetSocket;
  readonly #context: WebSocketContext;
  /** Handle for writing past the stream; plain TCP only. */
  readonly #handle: NetHandle | undefined;
  /** Undefined as long as every message was one frame in one chunk. */
  #receiver: Receiver | undefined;
  /** Bytes received since the last message; bounds the memory of an unauthenticated connection. */
  #unread = 0;
  /** Bytes passed to the kernel that it has not accepted yet. */
  #lateBytes = 0;
  /** Its close was sent, or is not needed. */
  #isClosing = false;
  /** Incoming data is no longer read. */
  #hasConcluded = false;
  #cancelClose: Cancel | undefined;

  constructor(socket: NetSocket, owner: TransportOwner, context: WebSocketContext) {
    this.#socket = socket;
    this.owner = owner;
    this.#context = context;
    this.#handle = context.writeDirectly === undefined ? undefined : handleOf(socket);
    (socket as CarryingSocket)[carried] = this;
    socket.setTimeout(0).setNoDelay(true);
    socket.on("data", WebSocketTransport.#onData).on("end", WebSocketTransport.#onEnd);
    socket.on("drain", WebSocketTransport.#onDrain).on("error", WebSocketTransport.#onError);
    socket.on("close", WebSocketTransport.#onClose);
  }

  // One function of each for all connections, to save the memory of closures

  static #onData(this: CarryingSocket, chunk: Buffer): void {
    this[carried].read(chunk);
  }

  static #onDrain(this: CarryingSocket): void {
    this[carried].owner.drained();
  }

  static #onEnd(this: CarryingSocket): void {
    this[carried].#end("transport close");
  }

  static #onError(this: CarryingSocket): void {
    this[carried].#end("transport error");
  }

  static #onClose(this: CarryingSocket): void {
    const transport = this[carried];
    transport.#cancelClose?.();
    transport.#end("transport close");
  }

  static #onMessage(this: CarryingReceiver, data: Buffer, isBinary: boolean): void {
    this[carried].#receive(isBinary ? data : data.toString(), data.length);
  }

  static #onPing(this: CarryingReceiver, data: Buffer): void {
    const transport = this[carried];
    const pong = Buffer.concat([Buffer.from([pongCode, data.length]), data]);
    // Pongs queue up if the client does not read; if it keeps sending pings, it is disconnected.
    if (!transport.owner.control(pong)) transport.destroy();
  }

  static #onConclude(this: CarryingReceiver, code: number): void {
    this[carried].#conclude(code);
  }

  static #onFault(this: CarryingReceiver, error: Error & { code?: string }): void {
    this[carried].fail(closeCodeOf(error));
  }

  // Reads

  read(chunk: Buffer): void {
    if (this.#hasConcluded) return;
    try {
      const rest = this.#receiver === undefined ? this.#readWhole(chunk) : chunk;
      if (rest.length > 0 && !this.#hasConcluded) this.#readOther(rest);
    } catch (error) {
      this.#context.failed(error);
      this.#end("transport error");
      this.destroy();
    }
  }

  /** Returns the rest of the chunk. */
  #readWhole(chunk: Buffer): Buffer {
    let start = 0;
    while (start < chunk.length) {
      const message = readWhole(chunk, start, this.owner.maxPayload);
      if (message === undefined) return chunk.subarray(start);
      start = message.end;
      if (message.text === undefined) this.fail(invalidUtf8);
      else this.owner.receive(message.text);
      if (this.#isClosing) return chunk.subarray(start);
    }
    return chunk.subarray(start);
  }

  #readOther(chunk: Buffer): void {
    this.#receiver ??= this.#createReceiver();
    this.#unread += chunk.length;
    this.#receiver.write(chunk);
    const { maxPayload } = this.owner;
    if (maxPayload < this.#context.maxPayload && this.#unread > maxPayload) this.fail(tooLarge);
  }

  #createReceiver(): Receiver {
    const receiver = Object.assign(createReceiver(this.#context.maxPayload), { [carried]: this });
    receiver.on("message", WebSocketTransport.#onMessage).on("ping", WebSocketTransport.#onPing);
    receiver.on("conclude", WebSocketTransport.#onConclude).on("error", WebSocketTransport.#onFault);
    return receiver;
  }

  #receive(packet: string | Buffer, length: number): void {
    this.#unread = 0;
    if (this.#isClosing) return;
    if (length > this.owner.maxPayload) this.fail(tooLarge);
    else this.owner.receive(packet);
  }

  // Writes

  /** False while written bytes are pending. */
  get writable(): boolean {
    return this.#lateBytes === 0 && !this.#socket.writableNeedDrain && this.#socket.writable && !this.#isClosing;
  }

  get waitingBytes(): number {
    return this.#lateBytes + this.#socket.writableLength;
  }

  get freeDescriptor(): number {
    return this.#holdsNothing && this.#socket.writable ? (this.#handle?.fd ?? -1) : -1;
  }

  write(bytes: Buffer): void {
    if (!this.#socket.writable) return;
    if (this.#handle === undefined || !this.#holdsNothing) this.#socket.write(bytes);
    else this.#writeNow(this.#handle, bytes);
  }

  writeRest(bytes: Buffer, sent: number): void {
    // A persistent error occurs again.
    this.write(bytes.subarray(Math.max(sent, 0)));
  }

  sendFrom(queue: SendQueue, isLast: boolean): boolean {
    const batch = queue.shift();
    const isAll = isLast && queue.isEmpty;
    if (batch === undefined) this.write(emptyClose);
    else this.write(isAll ? Buffer.concat([batch.bytes, emptyClose]) : batch.bytes);
    if (isAll) this.#isClosing = true;
    return queue.isEmpty;
  }

  /** True if neither the stream nor libuv has pending bytes. */
  get #holdsNothing(): boolean {
    return this.#lateBytes === 0 && this.#socket.writableLength === 0;
  }

  #writeNow(handle: NetHandle, bytes: Buffer): void {
    const left = this.#context.writeDirectly?.(handle, bytes, this) ?? 0;
    if (left > 0) this.#lateBytes = left;
    else if (left < 0) this.#socket.destroy(new Error("The connection failed."));
  }

  /** The pending bytes were written, or failed. */
  written(): void {
    this.#lateBytes = 0;
    if (!this.#socket.destroyed) this.owner.drained();
  }

  // Ends

  /** Closes the connection because of an invalid frame. */
  fail(code: number): void {
    this.#sayGoodbye(closeFrame(code));
    this.#hasConcluded = true;
    this.#end("transport error");
  }

  close(): void {
    this.#sayGoodbye(emptyClose);
    this.shut();
  }

  /** Sent after the frames of this tick. */
  #sayGoodbye(frame: Buffer): void {
    if (this.#isClosing) return;
    this.owner.flush();
    this.write(frame);
    this.#isClosing = true;
  }

  /** The client closed, or answered our close. */
  #conclude(code: number): void {
    this.#hasConcluded = true;
    this.#sayGoodbye(code === noStatus ? emptyClose : closeFrame(code));
    // Socket.IO handles earlier packets in the next tick.
    process.nextTick(() => this.#end("transport close"));
    this.shut();
  }

  #end(why: TransportEnd): void {
    this.#isClosing = true;
    this.owner.ended(this, why);
    this.shut();
  }

  shut(): void {
    if (this.#socket.destroyed) return;
    this.#isClosing = true;
    this.resume();
    if (this.#hasConcluded || this.#socket.readableEnded) this.#socket.end();
    const { clock, closeTimeoutMs } = this.#context;
    this.#cancelClose ??= clock.after(closeTimeoutMs, () => this.destroy());
  }

  destroy(): void {
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
