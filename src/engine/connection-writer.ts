import type { EndOfTickFlusher, Flushable } from "./end-of-tick.ts";
import type { Frame, FrameBatch } from "./frames.ts";
import type { MultiSocketWrite } from "./multi-socket-write.ts";
import { SendQueue, type Skipped } from "./send-queue.ts";
import type { Transport } from "./transport.ts";
import { WebSocketTransport } from "./websocket-transport.ts";

/** What the writers of a node have in common. */
export interface WriterContext {
  /** Bytes that may wait for one client. Beyond half of it only the latest is kept of what may be conflated. */
  readonly queueBytes: number;
  readonly endOfTick: Pick<EndOfTickFlusher, "schedule">;
  readonly multiSocketWrite: MultiSocketWrite;
  /** Counts what a slow reader was not sent. */
  onSkipped(skipped: Skipped): void;
}

export interface WriterOwner {
  /** More waits for the client than may. */
  overflowed(): void;
  /** Everything was handed over, the transport's goodbye included. */
  finished(): void;
}

/**
 * Everything that is sent on one connection, in order: publications, answers, heartbeats, goodbyes. The frames of one tick
 * leave in one write; what the transport does not take waits in the send queue.
 */
export class ConnectionWriter implements Flushable {
  readonly #owner: WriterOwner;
  readonly #context: WriterContext;
  #transport: Transport;
  /** Of this tick. */
  #batch: FrameBatch | undefined;
  /** Of earlier ticks. */
  #queue: SendQueue | undefined;
  /** The last batch that was written, or a larger frame behind it: an answer may be larger than the budget by itself. */
  #allowance = 0;
  #isFinishing = false;
  #hasOverflowed = false;

  constructor(owner: WriterOwner, transport: Transport, context: WriterContext) {
    this.#owner = owner;
    this.#transport = transport;
    this.#context = context;
  }

  /** Bytes that wait for the client in this process. */
  get waitingBytes(): number {
    return this.#transport.waitingBytes + (this.#queue?.bytes ?? 0);
  }

  add(frame: Frame): void {
    // Nothing follows a goodbye.
    if (this.#isFinishing) return;
    if (frame.isOwn && frame.cost > this.#allowance) this.#allowance = frame.cost;
    if (this.#batch !== undefined) this.#batch = this.#batch.and(frame);
    else {
      this.#batch = frame.alone;
      this.#context.endOfTick.schedule(this);
    }
  }

  /** At the end of the tick. */
  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    const transport = this.#transport;
    if (this.#queue === undefined && transport.writable && transport instanceof WebSocketTransport)
      this.#send(transport, batch);
    else this.#enqueue(batch);
  }

  /** The same before the end of the tick. */
  flushNow(): void {
    const { multiSocketWrite } = this.#context;
    multiSocketWrite.flush();
    this.flush();
    multiSocketWrite.flush();
  }

  /** Adds the transport's goodbye behind everything that was added, and sends now what can be sent now. */
  finish(): void {
    this.#context.multiSocketWrite.flush();
    this.#isFinishing = true;
    const batch = this.#batch;
    this.#batch = undefined;
    this.#queue ??= new SendQueue();
    if (batch !== undefined) this.#queue.push(batch, false);
    this.drain();
  }

  /** The transport can be written to. */
  drain(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    while (this.#transport.writable) {
      if (this.#transport.sendFrom(queue, this.#isFinishing)) return this.#emptied();
    }
  }

  /** Forgets all that waits: it will not be sent. */
  drop(): void {
    this.#batch = undefined;
    this.#queue = undefined;
  }

  switchTo(transport: Transport): void {
    this.#transport = transport;
    this.drain();
  }

  #send(socket: WebSocketTransport, { bytes, length }: FrameBatch): void {
    this.#allowance = length;
    this.#context.multiSocketWrite.add(socket, bytes);
  }

  #emptied(): void {
    this.#queue = undefined;
    if (this.#isFinishing) this.#owner.finished();
  }

  // The client lags

  #enqueue(batch: FrameBatch): void {
    const queue = (this.#queue ??= new SendQueue());
    const skipped = queue.push(batch, this.waitingBytes > this.#context.queueBytes / 2);
    if (skipped.conflated + skipped.volatile > 0) this.#context.onSkipped(skipped);
    this.drain();
    this.#checkBudget();
  }

  #checkBudget(): void {
    if (this.#hasOverflowed || this.waitingBytes <= this.#context.queueBytes + this.#allowance) return;
    this.#hasOverflowed = true;
    this.#owner.overflowed();
  }
}
