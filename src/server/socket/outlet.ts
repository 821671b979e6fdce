import type { Socket as EngineSocket } from "engine.io";
import { Batch, type Frame } from "./batch.ts";
import { rawSocketOf, waitingBytesOf, waitingPacketsOf } from "./raw-socket.ts";

/** What all outlets of a node have in common. */
export interface OutletContext {
  /** Bytes that may wait for one client. */
  readonly queueBytes: number;
  /** Calls `flush` of the outlet when this turn of the event loop ends. */
  readonly turn: Turn;
}

/** Whom an outlet writes to. */
export interface OutletOwner {
  /** More waits for the client than may. */
  readTooSlowly(): void;
}

/** Outlets with something to write, each flushed once when the turn of the event loop ends. */
export class Turn {
  #outlets: Outlet[] = [];

  schedule(outlet: Outlet): void {
    if (this.#outlets.push(outlet) === 1) setImmediate(this.#end);
  }

  readonly #end = (): void => {
    const outlets = this.#outlets;
    this.#outlets = [];
    for (const outlet of outlets) outlet.flush();
  };
}

/** Engine.IO packets that may wait for one client, whatever their size. */
const mostWaitingPackets = 4_096;

/**
 * Writes publications to one connection. Those of one turn of the event loop leave in one write, straight to the network
 * socket where nothing else is queued; on polling, while upgrading and behind a queue each goes the ordinary road
 * through Engine.IO. Whatever else is sent on the connection first sends what waits here, so order is kept.
 */
export class Outlet {
  readonly #engine: EngineSocket;
  readonly #owner: OutletOwner;
  readonly #context: OutletContext;
  #batch: Batch | undefined;
  /** Bytes given to Engine.IO since its queue was last empty. */
  #queuedBytes = 0;
  #isSlow = false;

  constructor(engine: EngineSocket, owner: OutletOwner, context: OutletContext) {
    this.#engine = engine;
    this.#owner = owner;
    this.#context = context;
    engine.on("packetCreate", this.#beforePacket);
  }

  /** `first` is the batch that every connection begins with that has nothing else in this turn. */
  add(frame: Frame, first: Batch): void {
    if (this.#batch === undefined) {
      this.#batch = first;
      this.#context.turn.schedule(this);
    } else this.#batch = this.#batch.and(frame);
  }

  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    const socket = rawSocketOf(this.#engine);
    if (socket === undefined) return this.#queue(batch);
    this.#queuedBytes = 0;
    socket.write(batch.bytes);
    if (socket.writableLength > this.#context.queueBytes) this.#slow();
  }

  #queue(batch: Batch): void {
    if (waitingPacketsOf(this.#engine) === 0) this.#queuedBytes = 0;
    this.#queuedBytes += batch.length;
    for (const { packet } of batch.frames()) this.#engine.write(packet.toString("utf8", 1));
    const waiting = waitingPacketsOf(this.#engine) === 0 ? 0 : this.#queuedBytes;
    if (waiting + waitingBytesOf(this.#engine) > this.#context.queueBytes) this.#slow();
  }

  readonly #beforePacket = (): void => {
    this.flush();
    const isFull = waitingPacketsOf(this.#engine) > mostWaitingPackets;
    if (isFull || waitingBytesOf(this.#engine) > this.#context.queueBytes) this.#slow();
  };

  #slow(): void {
    if (this.#isSlow) return;
    this.#isSlow = true;
    this.#owner.readTooSlowly();
  }
}
