import type { IncomingMessage } from "node:http";
import type { Cancel, Clock } from "../runtime/clock.ts";
import { ConnectionWriter, type WriterContext, type WriterOwner } from "./connection-writer.ts";
import { ControlBudget } from "./control-budget.ts";
import { Frame } from "./frames.ts";
import { Listeners } from "./listeners.ts";
import { describePacket, packetType } from "./packets.ts";
import type { Due, TimerWheel } from "../runtime/timer-wheel.ts";
import type { Transport, TransportEnd, TransportOwner } from "./transport.ts";

/** A request with its query as Socket.IO parses it. */
export type EngineRequest = IncomingMessage & { _query: Readonly<Record<string, string>> };

/** Shared by all connections of an engine. */
export interface EngineContext extends WriterContext {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Max milliseconds until a client has received everything before its connection is destroyed. */
  readonly closeTimeoutMs: number;
  /** Max bytes of one packet of an authenticated connection; also sent to clients in the handshake. */
  readonly maxPayload: number;
  closed(socket: EngineSocket): void;
}

export interface ConnectionOwner {
  /** Transforms a message of Socket.IO before it is written. */
  outgoing(message: string): string;
  /** The send queue exceeded its limit. */
  readTooSlowly(): void;
}

/** What Socket.IO takes for an attachment, and passes on as it is. */
type BinaryData = ArrayBuffer | ArrayBufferView;

/** Why a connection closed, as Engine.IO names it. */
export type EngineCloseReason = TransportEnd | "ping timeout" | "forced close";

/** Options of Socket.IO: the same object for all receivers of a message. */
interface WriteOptions {
  /** Encoded once for all of them. */
  wsPreEncodedFrame?: unknown;
}

/** Max bytes of one packet or polling body of a connection that has not authenticated: a token and a little more. */
export const pendingPayload = 16_384;

const ping = Frame.text(packetType.ping);

/** Frames of messages that Socket.IO sends to several connections. */
const shared = new WeakMap<WriteOptions, Frame>();

/**
 * One client's connection, over any transport. Socket.IO's `Client` uses it as its `conn`: `id`, `request`,
 * `protocol`, `readyState`, `transport`, `remoteAddress`, `write`, `close` and the events `data` and `close`; applications
 * may listen to `upgrade`, `packet`, `packetCreate` and `heartbeat`.
 */
export class EngineSocket extends Listeners implements TransportOwner, WriterOwner, Due {
  readonly id: string;
  readonly protocol = 4;
  readonly remoteAddress: string | undefined;
  /** Null once it is no longer needed. */
  request: EngineRequest | null;
  readyState: "open" | "closing" | "closed" = "open";
  dueTick = -1;
  readonly writer: ConnectionWriter;
  readonly #context: EngineContext;
  #transport: Transport;
  /** Set by the user of the connection. */
  owner: ConnectionOwner | undefined;
  #isPending = true;
  /** A ping was sent and has not been answered. */
  #isAwaitingPong = false;
  /** The timeout of the pong was extended once, because other data arrived. */
  #isExtended = false;
  #control: ControlBudget | undefined;
  #cancelClose: Cancel | undefined;
  /** The upgrade in progress. */
  upgrade: { cancel(): void } | undefined;

  constructor(
    { id, request }: { id: string; request: EngineRequest },
    createTransport: (owner: TransportOwner) => Transport,
    context: EngineContext,
  ) {
    super();
    this.id = id;
    this.request = request;
    this.remoteAddress = request.socket.remoteAddress;
    this.#context = context;
    this.#transport = createTransport(this);
    this.writer = new ConnectionWriter(this, this.#transport, context);
    context.wheel.schedule(this, context.pingIntervalMs);
  }

  get transport(): Transport {
    return this.#transport;
  }

  get maxPayload(): number {
    return this.#isPending ? pendingPayload : this.#context.maxPayload;
  }

  /** Call after authentication: from now on, packets may have the announced size. */
  admit(): void {
    this.#isPending = false;
  }

  // Incoming

  receive(packet: string | Buffer): void {
    if (this.readyState !== "open") return;
    if (this.#isAwaitingPong) this.#extend();
    if (this.listenerCount("packet") > 0) this.emit("packet", describePacket(packet));
    if (typeof packet !== "string") return this.#message(packet);
    const [type] = packet;
    if (type === packetType.message) return this.#message(packet.slice(1));
    if (type === "b") return this.#message(Buffer.from(packet.slice(1), "base64"));
    this.#receiveControl(packet);
  }

  #message(data: string | Buffer): void {
    this.emit("data", data);
    this.emit("message", data);
  }

  #receiveControl(packet: string): void {
    if (packet === packetType.pong && this.#isAwaitingPong) return this.#pong();
    this.#control ??= new ControlBudget();
    if (!this.#control.take(this.#context.clock.monotonic()) || !isKnown(packet)) return this.#message("");
    // Socket.IO handles earlier packets in the next tick.
    if (packet.startsWith(packetType.close)) process.nextTick(() => this.#over("transport close", "close"));
    // In this revision of the protocol the server sends pings; a client sends one only to probe another transport.
    else if (packet.startsWith(packetType.ping)) this.#over("transport error", "close");
  }

  // Outgoing

  /** Sends a message of Socket.IO. */
  write(data: string | BinaryData, options?: WriteOptions): this {
    if (this.readyState !== "open") return this;
    if (this.listenerCount("packetCreate") > 0) this.emit("packetCreate", { type: "message", data, options });
    const isText = typeof data === "string";
    this.writer.add(isText ? this.#frameOf(data, options) : Frame.binary(bytesOf(data), { isOwn: true }));
    return this;
  }

  send(data: string | BinaryData, options?: WriteOptions): this {
    return this.write(data, options);
  }

  #frameOf(data: string, options: WriteOptions | undefined): Frame {
    const text = this.owner === undefined ? data : this.owner.outgoing(data);
    if (text !== data || options?.wsPreEncodedFrame === undefined)
      return Frame.text(packetType.message + text, { isOwn: true });
    const frame = shared.get(options) ?? Frame.text(packetType.message + data);
    shared.set(options, frame);
    return frame;
  }

  control(bytes: Buffer): boolean {
    this.#control ??= new ControlBudget();
    if (!this.#control.mayAnswer(this.writer.waitingBytes > 0)) return false;
    this.writer.add(Frame.raw(bytes));
    return true;
  }

  flush(): void {
    this.writer.flushNow();
  }

  drained(): void {
    this.writer.drain();
    this.emit("drain");
  }

  overflowed(): void {
    if (this.owner === undefined) this.close(true);
    else this.owner.readTooSlowly();
  }

  // Heartbeat

  /** Sends a ping, or closes the connection of a client that did not answer the last one. */
  due(): void {
    if (this.#isAwaitingPong) return this.#over("ping timeout", "close");
    const { wheel, pingTimeoutMs } = this.#context;
    this.#isAwaitingPong = true;
    this.#isExtended = false;
    if (this.listenerCount("packetCreate") > 0) this.emit("packetCreate", { type: "ping" });
    this.writer.add(ping);
    wheel.schedule(this, pingTimeoutMs);
  }

  #pong(): void {
    const { wheel, pingIntervalMs } = this.#context;
    this.#isAwaitingPong = false;
    wheel.schedule(this, pingIntervalMs);
    this.emit("heartbeat");
  }

  /** The pong may follow something large. */
  #extend(): void {
    if (this.#isExtended) return;
    this.#isExtended = true;
    this.#context.wheel.schedule(this, this.#context.pingTimeoutMs);
  }

  // Transports

  /** Continues on `transport`, which was probed. */
  switchTo(transport: Transport): void {
    const before = this.#transport;
    this.#transport = transport;
    this.upgrade = undefined;
    transport.owner = this;
    before.shut();
    this.writer.switchTo(transport);
    this.emit("upgrade", transport);
  }

  ended(transport: Transport, why: TransportEnd): void {
    if (transport === this.#transport) this.#over(why, "shut");
  }

  // Closing

  /** Closes after everything queued was sent, or after a timeout; with `discard` immediately. */
  close(discard = false): void {
    if (discard) return this.#discard();
    if (this.readyState !== "open") return;
    this.readyState = "closing";
    this.writer.finish();
    if (this.#isClosed) return;
    this.#cancelClose = this.#context.clock.after(this.#context.closeTimeoutMs, () => this.#discard());
  }

  finished(): void {
    this.#over("forced close", "shut");
  }

  get #isClosed(): boolean {
    return this.readyState === "closed";
  }

  #discard(): void {
    this.#over("forced close", this.writer.waitingBytes === 0 ? "close" : "destroy");
  }

  /** `end` is the method that ends the transport. */
  #over(reason: EngineCloseReason, end: "close" | "shut" | "destroy"): void {
    if (this.#isClosed) return;
    this.readyState = "closed";
    this.#context.wheel.cancel(this);
    this.#cancelClose?.();
    this.upgrade?.cancel();
    this.writer.drop();
    this.#transport[end]();
    this.#context.closed(this);
    this.emit("close", reason);
  }
}

const isKnown = (packet: string): boolean => /^(?:[01356]|2probe$)/.test(packet);

function bytesOf(data: BinaryData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  if (data instanceof ArrayBuffer) return Buffer.from(data);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
