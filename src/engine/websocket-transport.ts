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
  /** Bytes of one message of a connection that has authenticated. */
  readonly maxPayload: number;
  /** Milliseconds a client may take to answer a close before its socket is destroyed. */
  readonly closeTimeoutMs: number;
  readonly clock: Clock;
  /** Undefined: through the stream. */
  readonly writeDirectly: DirectWrite | undefined;
  /** Reports what a message threw. */
  failed(error: unknown): void;
}

const carried: unique symbol = Symbol("transport");

/** A network socket knows its transport, so that no connection needs listeners of its own. */
type CarryingSocket = NetSocket & { [carried]: WebSocketTransport };

type CarryingReceiver = Receiver & { [carried]: WebSocketTransport };

const pongCode = 0x8a;
const emptyClose = Buffer.from([0x88, 0x00]);

const closeFrame = (code: number): Buffer => Buffer.from([0x88, 0x02, code >> 8, code & 0xff]);

/** No status was received (RFC 6455, 7.4.1): such a close has no body. */
const noStatus = 1005;

/** Engine.IO's packets over a WebSocket, one in each message, without compression. */
export class WebSocketTransport implements Transport, SocketWriter, WriteListener {
  readonly name = "websocket";
  owner: TransportOwner;
  readonly #socket: NetSocket;
  readonly #context: WebSocketContext;
  /** To write past the stream, which plain TCP allows. */
  readonly #handle: NetHandle | undefined;
  /** Undefined while every message has come in a frame and a chunk of its own. */
  #receiver: Receiver | undefined;
  /** Bytes that came since the last message: bounds what a connection that has not authenticated can pile up. */
  #unread = 0;
  /** Bytes that the kernel was given and did not take at once. */
  #lateBytes = 0;
  /** Its goodbye was sent, or no other is wanted. */
  #isClosing = false;
  /** Nothing that the client sends is read any more. */
  #hasConcluded = false;
  #cancelClose: Cancel | undefined;

  constructor(socket: NetSocket, owner: TransportOwner, context: WebSocketContext) {
    this.#socket = socket;
    this.owner = owner;
    this.#context = context;
    this.#handle = context.writeDirectly === undefined ? undefined : handleOf(socket);
    Object.assign(socket, { [carried]: this });
    socket.setTimeout(0).setNoDelay(true);
    socket.on("data", WebSocketTransport.#onData).on("end", WebSocketTransport.#onEnd);
    socket.on("drain", WebSocketTransport.#onDrain).on("error", WebSocketTransport.#onError);
    socket.on("close", WebSocketTransport.#onClose);
  }

  // One function of each for all connections

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
    // Pongs wait behind a reader that does not read; a client that pings on meanwhile is cut.
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

  /** Answers what is left of the chunk. */
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

  /** False while more was written than the network takes at once. */
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
    // An error shows again.
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

  /** Neither the stream nor libuv holds anything. */
  get #holdsNothing(): boolean {
    return this.#lateBytes === 0 && this.#socket.writableLength === 0;
  }

  #writeNow(handle: NetHandle, bytes: Buffer): void {
    const left = this.#context.writeDirectly?.(handle, bytes, this) ?? 0;
    if (left > 0) this.#lateBytes = left;
    else if (left < 0) this.#socket.destroy(new Error("The connection failed."));
  }

  /** What was late has gone, or cannot go any more. */
  written(): void {
    this.#lateBytes = 0;
    if (!this.#socket.destroyed) this.owner.drained();
  }

  // Ends

  /** Ends the connection because of what its client sent. */
  fail(code: number): void {
    this.#sayGoodbye(closeFrame(code));
    this.#hasConcluded = true;
    this.#end("transport error");
  }

  close(): void {
    this.#sayGoodbye(emptyClose);
    this.shut();
  }

  /** Behind what was added in this tick. */
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
    // Socket.IO handles what came before it in the next tick.
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
