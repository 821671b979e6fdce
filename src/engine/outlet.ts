import type { Socket as EngineSocket } from "engine.io";
import { Backlog, type Skipped } from "./backlog.ts";
import { Frame, type Batch } from "./batch.ts";
import type { DirectWrite } from "./direct-write.ts";
import { queuedBytesOf, queuedBytesOfPacket, queuedPacketsOf, RawSocket, socketBytesOf } from "./raw-socket.ts";
import type { Collecting, Turn } from "./turn.ts";
import type { Volley } from "./volley.ts";

/** What all outlets of a node have in common. */
export interface OutletContext {
  /** Bytes that may wait for one client. Beyond half of it only the latest is kept of what may be conflated. */
  readonly queueBytes: number;
  /** Calls `flush` of the outlet when this turn of the event loop ends. */
  readonly turn: Pick<Turn, "schedule">;
  /** Absent: through the stream. */
  readonly writeDirectly: DirectWrite | undefined;
  /** Flushed when the turn ends. Absent: each connection is written to by itself. */
  readonly volley?: Volley | undefined;
  /** Counts what a reader that lags was not sent. */
  onSkipped(skipped: Skipped): void;
}

/** Whom an outlet writes to. */
export interface OutletOwner {
  /** Up to which the client has everything, for Socket.IO's own recovery; undefined where that is off. */
  readonly stamp?: number | undefined;
  /** More waits for the client than may. */
  readTooSlowly(): void;
}

/** As Engine.IO is about to queue it. */
interface Packet {
  data?: unknown;
  /** The same for all connections that are sent it. */
  options?: object;
}

/** The text of an event of the main namespace that wants no acknowledgement, and whose last argument is a string. */
const eventThatEndsInString = /^(?:2|5\d+-)\[.*"\]$/s;

const endsInString = ({ data }: Packet): boolean => typeof data === "string" && eventThatEndsInString.test(data);

/**
 * Stock clients take a string at the end of any event for their place in the stream, so what other programs send gets the
 * place behind it, as Socket.IO's own servers do.
 */
function addStamp(packet: Packet, stamp: number | undefined): void {
  if (stamp === undefined) return;
  packet.data = `${(packet.data as string).slice(0, -1)},"${stamp}"]`;
  // Another frame than the one that was made for all.
  packet.options = { ...packet.options, wsPreEncodedFrame: undefined };
}

/** Where a connection has its outlet; the last one where it was given several. */
const carried: unique symbol = Symbol("outlet");

type Carrier = EngineSocket & { [carried]?: Outlet };

/** Engine.IO packets that may wait for one client, whatever their size. */
const mostQueuedPackets = 4_096;

/** Characters of an answer that may wait for the end of its turn. */
const mostToGather = 4_096;

/** Publications given to Engine.IO ahead of its client; what comes on top waits here, shared with others. */
const mostHandedOver = 64;

/**
 * Writes publications to one connection. Those of one turn of the event loop leave in one write, straight to the network
 * socket where nothing else is queued; on polling, while upgrading and behind a queue each goes the ordinary road
 * through Engine.IO. What the client does not take waits here. Whatever else is sent on the connection first sends all
 * that waits, so order is kept.
 */
export class Outlet implements Collecting {
  readonly #engine: EngineSocket;
  readonly #owner: OutletOwner;
  readonly #context: OutletContext;
  #raw: RawSocket | undefined;
  /** Of this turn. */
  #batch: Batch | undefined;
  /** Of earlier turns, while the client lags. */
  #backlog: Backlog | undefined;
  /** Bytes given to Engine.IO since its queue was last seen empty. */
  #queuedBytes = 0;
  /** Size of the largest thing sent since nothing waited: an answer may be larger than the budget by itself. */
  #largest = 0;
  #isWaiting = false;
  /** Engine.IO tells of our own packets too. */
  #isQueueing = false;
  #isSlow = false;

  constructor(engine: EngineSocket, owner: OutletOwner, context: OutletContext) {
    this.#engine = engine;
    this.#owner = owner;
    this.#context = context;
    const carrier: Carrier = engine;
    if (carrier[carried] === undefined) engine.on("packetCreate", Outlet.#onPacket);
    carrier[carried] = this;
  }

  /** One function for all connections: none carries a closure of its own. */
  static #onPacket(this: Carrier, packet: Packet): void {
    const outlet = this[carried];
    if (outlet !== undefined) outlet.#beforePacket(packet);
  }

  /** Bytes that wait for the client in this process. */
  get waitingBytes(): number {
    const sent = this.#raw?.waitingBytes ?? socketBytesOf(this.#engine);
    return sent + this.#bytesInEngine() + (this.#backlog?.bytes ?? 0);
  }

  add(frame: Frame): void {
    if (this.#batch !== undefined) this.#batch = this.#batch.and(frame);
    else {
      this.#batch = frame.alone;
      this.#context.turn.schedule(this);
    }
  }

  /**
   * An answer leaves with what else there is in this turn where it is small and nothing waits; elsewhere in Engine.IO's
   * queue, in which it may be larger than the budget. `text` is that of a Socket.IO packet.
   */
  answer(text: string): void {
    if (text.length <= mostToGather && this.#isCalm) this.add(new Frame(Buffer.from(`4${text}`)));
    else this.#engine.write(text);
  }

  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    if (this.#backlog !== undefined) return this.#keep(this.#backlog, batch);
    const raw = this.#rawIfNext();
    if (raw === undefined ? this.#isEngineFull : raw.isBlocked) return this.#keep(this.#lag(), batch);
    this.#send(batch, raw, this.#context.volley);
  }

  /** Now, whether the client takes it or not. */
  sendAll(): void {
    this.#context.volley?.flush();
    const backlog = this.#backlog;
    const batch = this.#batch;
    this.drop();
    for (let next = backlog?.shift(); next !== undefined; next = backlog?.shift()) this.#send(next, this.#rawIfNext());
    if (batch !== undefined) this.#send(batch, this.#rawIfNext());
  }

  /** The last of all, in one write with the goodbye of Socket.IO and ws where the caller sees to that. */
  sendLast({ alone }: Frame): void {
    this.sendAll();
    const raw = this.#rawIfNext();
    if (raw === undefined) this.#queue(alone);
    else raw.writeWithOthers(alone.bytes);
  }

  /** Lets go of all that waits: it will not be sent. */
  drop(): void {
    this.#batch = undefined;
    this.#backlog = undefined;
  }

  #rawIfNext(): RawSocket | undefined {
    this.#raw ??= RawSocket.under(this.#engine, this.#context.writeDirectly);
    return this.#raw?.isNext === true ? this.#raw : undefined;
  }

  get #isCalm(): boolean {
    return this.#backlog === undefined && this.#rawIfNext()?.isBlocked === false;
  }

  get #isEngineFull(): boolean {
    return queuedPacketsOf(this.#engine) >= mostHandedOver;
  }

  #send(batch: Batch, raw: RawSocket | undefined, volley?: Volley): void {
    if (raw === undefined) this.#queue(batch);
    else if (volley === undefined) raw.write(batch.bytes);
    else volley.add(raw, batch.bytes);
    if (batch.length > this.#largest) this.#largest = batch.length;
  }

  #queue(batch: Batch): void {
    this.#isQueueing = true;
    for (const { text } of batch.frames()) this.#engine.write(text);
    this.#isQueueing = false;
  }

  // The client lags

  #keep(backlog: Backlog, batch: Batch): void {
    const skipped = backlog.keep(batch, this.waitingBytes > this.#context.queueBytes / 2);
    if (skipped.conflated + skipped.volatile > 0) this.#context.onSkipped(skipped);
    this.#checkBudget();
  }

  #lag(): Backlog {
    this.#waitUntilFree();
    return (this.#backlog = new Backlog());
  }

  #waitUntilFree(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const goOn = (): void => this.#goOn();
    const raw = this.#rawIfNext();
    if (raw === undefined) this.#engine.once("drain", goOn);
    else raw.whenFree(goOn);
  }

  /** The road is free, at least for a while. */
  #goOn(): void {
    this.#isWaiting = false;
    for (;;) {
      const raw = this.#rawIfNext();
      if (raw === undefined ? this.#isEngineFull : raw.isBlocked) return this.#waitUntilFree();
      const batch = this.#backlog?.shift();
      if (batch === undefined) return void (this.#backlog = undefined);
      this.#send(batch, raw);
    }
  }

  // Others send on the connection

  #beforePacket(packet: Packet): void {
    if (!this.#isQueueing) {
      this.sendAll();
      if (endsInString(packet)) addStamp(packet, this.#owner.stamp);
    }
    this.#checkBudget();
    if (queuedPacketsOf(this.#engine) === 0) this.#queuedBytes = 0;
    const size = queuedBytesOfPacket(packet);
    this.#queuedBytes += size;
    if (size > this.#largest) this.#largest = size;
  }

  // Too slow

  #bytesInEngine(): number {
    return queuedPacketsOf(this.#engine) === 0 ? 0 : this.#queuedBytes;
  }

  #checkBudget(): void {
    const waiting = this.waitingBytes;
    if (waiting === 0) this.#largest = 0;
    if (this.#isSlow || this.#isWithinBudget(waiting)) return;
    // A queue that is never empty was not counted down.
    this.#queuedBytes = queuedBytesOf(this.#engine);
    if (this.#isWithinBudget(this.waitingBytes)) return;
    this.#isSlow = true;
    this.#owner.readTooSlowly();
  }

  #isWithinBudget(waiting: number): boolean {
    return waiting <= this.#context.queueBytes + this.#largest && queuedPacketsOf(this.#engine) <= mostQueuedPackets;
  }
}
