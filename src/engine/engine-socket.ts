import { EventEmitter } from "node:events";
import type { IncomingMessage } from "node:http";
import type { Cancel, Clock } from "../runtime/clock.ts";
import { ConnectionWriter, type WriterContext, type WriterOwner } from "./connection-writer.ts";
import { ControlBudget } from "./control-budget.ts";
import { Frame } from "./frames.ts";
import { packetType } from "./packets.ts";
import type { Due, TimerWheel } from "./timer-wheel.ts";
import type { Transport, TransportEnd, TransportOwner } from "./transport.ts";

/** With the query as Socket.IO reads it. */
export type EngineRequest = IncomingMessage & { _query: Readonly<Record<string, string>> };

/** What the connections of an engine have in common. */
export interface EngineContext extends WriterContext {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Milliseconds a client may take to fetch a goodbye. */
  readonly closeTimeoutMs: number;
  /** Bytes of one packet of a connection that has authenticated, and what clients are told. */
  readonly maxPayload: number;
  closed(socket: EngineSocket): void;
}

export interface ConnectionOwner {
  /** What Socket.IO sends, as it is to be written. */
  outgoing(message: string): string;
  /** More waits for the client than may. */
  readTooSlowly(): void;
}

/** Why a connection closed, in Engine.IO's words. */
export type EngineCloseReason = TransportEnd | "ping timeout" | "forced close";

/** As Socket.IO passes it: the same object for all connections that are sent the message. */
interface WriteOptions {
  /** Made once for all of them. */
  wsPreEncodedFrame?: unknown;
}

/** Bytes of one packet, or polling body, of a connection that has not authenticated: a token and a little more. */
export const pendingPayload = 16_384;

const ping = Frame.text(packetType.ping);

/** Messages that Socket.IO has sent to several connections. */
const shared = new WeakMap<WriteOptions, Frame>();

/**
 * One client's connection, whatever it travels over. Socket.IO's `Client` uses it as its `conn`: `id`, `request`,
 * `protocol`, `readyState`, `transport`, `remoteAddress`, `write`, `close` and the events `data` and `close`; applications
 * may listen to `upgrade`, `packet`, `packetCreate` and `heartbeat`.
 */
export class EngineSocket extends EventEmitter implements TransportOwner, WriterOwner, Due {
  readonly id: string;
  readonly protocol = 4;
  readonly remoteAddress: string | undefined;
  /** Null once nobody needs it. */
  request: EngineRequest | null;
  readyState: "open" | "closing" | "closed" = "open";
  dueTick = -1;
  readonly writer: ConnectionWriter;
  readonly #context: EngineContext;
  #transport: Transport;
  /** Set by whoever uses the connection. */
  owner: ConnectionOwner | undefined;
  #isPending = true;
  /** A ping was sent and not answered. */
  #isAwaitingPong = false;
  /** Something came while a pong was awaited, which is waited for a little longer then; once. */
  #isExtended = false;
  #control: ControlBudget | undefined;
  #cancelClose: Cancel | undefined;
  /** Under way. */
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

  /** The connection has authenticated: its packets may be as large as it was told. */
  admit(): void {
    this.#isPending = false;
  }

  // In

  receive(packet: string | Buffer): void {
    if (this.readyState !== "open") return;
    if (this.#isAwaitingPong) this.#extend();
    if (this.listenerCount("packet") > 0) this.emit("packet", packet);
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
    // Socket.IO handles what came before it in the next tick.
    if (packet.startsWith(packetType.close)) process.nextTick(() => this.#over("transport close", "close"));
    // In this revision of the protocol servers ping; a client does so once, to try another transport.
    else if (packet.startsWith(packetType.ping)) this.#over("transport error", "close");
  }

  // Out

  /** A message of Socket.IO's. */
  write(data: string | Buffer, options?: WriteOptions): this {
    if (this.readyState !== "open") return this;
    if (this.listenerCount("packetCreate") > 0) this.emit("packetCreate", { type: "message", data, options });
    this.writer.add(typeof data === "string" ? this.#frameOf(data, options) : Frame.binary(data, { isOwn: true }));
    return this;
  }

  send(data: string | Buffer, options?: WriteOptions): this {
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

  /** Time for a ping, or for the end of a client that has not answered the last one. */
  due(): void {
    if (this.#isAwaitingPong) return this.#over("ping timeout", "close");
    const { wheel, pingTimeoutMs } = this.#context;
    this.#isAwaitingPong = true;
    this.#isExtended = false;
    this.writer.add(ping);
    wheel.schedule(this, pingTimeoutMs);
  }

  #pong(): void {
    const { wheel, pingIntervalMs } = this.#context;
    this.#isAwaitingPong = false;
    wheel.schedule(this, pingIntervalMs);
    this.emit("heartbeat");
  }

  /** A pong may be on its way behind something large. */
  #extend(): void {
    if (this.#isExtended) return;
    this.#isExtended = true;
    this.#context.wheel.schedule(this, this.#context.pingTimeoutMs);
  }

  // Transports

  /** From now on over `transport`, which was probed. */
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

  // The end

  /** Closes behind what was queued, or after a while without it; with `discard` at once. */
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

  /** `end` is what becomes of the transport. */
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
