import type { EndOfTickFlusher, Flushable } from "./end-of-tick.ts";
import type { Frame, FrameBatch } from "./frames.ts";
import type { MultiSocketWrite } from "./multi-socket-write.ts";
import { SendQueue, type Skipped } from "./send-queue.ts";
import type { Transport } from "./transport.ts";
import { WebSocketTransport } from "./websocket-transport.ts";

/** Shared by all writers of a node. */
export interface WriterContext {
  /** Max bytes queued for one client. Above half of it, frames with the same conflation key replace each other. */
  readonly queueBytes: number;
  readonly endOfTick: Pick<EndOfTickFlusher, "schedule">;
  readonly multiSocketWrite: MultiSocketWrite;
  /** Counts the bytes of all frames. */
  readonly traffic: { sentBytes: number };
  /** Counts frames that a slow reader was not sent. */
  onSkipped(skipped: Skipped): void;
}

export interface WriterOwner {
  /** The send queue exceeded its limit. */
  overflowed(): void;
  /** All frames were written, including the transport's close. */
  finished(): void;
}

/** Max bytes collected while frames are held. */
const maxHeldBytes = 16_384;

/**
 * Sends everything of one connection, in order: publications, acknowledgements, heartbeats and closing messages. The frames of
 * one tick are written together; frames that the transport does not accept wait in the send queue.
 */
export class ConnectionWriter implements Flushable {
  readonly #owner: WriterOwner;
  readonly #context: WriterContext;
  #transport: Transport;
  /** Frames added in this tick. */
  #batch: FrameBatch | undefined;
  /** Frames of earlier ticks. */
  #queue: SendQueue | undefined;
  /** The last batch written, or a larger frame after it: a single acknowledgement may exceed the limit. */
  #allowance = 0;
  /** Frames wait for `release`. */
  #isHeld = false;
  #isFinishing = false;
  #hasOverflowed = false;

  constructor(owner: WriterOwner, transport: Transport, context: WriterContext) {
    this.#owner = owner;
    this.#transport = transport;
    this.#context = context;
  }

  /** Bytes queued for the client in this process. */
  get waitingBytes(): number {
    return this.#transport.waitingBytes + (this.#queue?.bytes ?? 0);
  }

  add(frame: Frame): void {
    // Nothing is sent after a close.
    if (this.#isFinishing) return;
    if (frame.isOwn && frame.cost > this.#allowance) this.#allowance = frame.cost;
    if (this.#batch !== undefined) {
      this.#batch = this.#batch.and(frame);
      if (this.#isHeld && this.#batch.length > maxHeldBytes) this.release();
    } else {
      this.#batch = frame.alone;
      this.#context.endOfTick.schedule(this);
    }
  }

  /**
   * Collects frames until `release`, so that the answer to a handshake and what follows it leave in one write; not more
   * than a few kB.
   */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    if (this.#batch !== undefined) this.#context.endOfTick.schedule(this);
  }

  /** Called at the end of the tick. */
  flush(): void {
    const batch = this.#batch;
    if (batch === undefined || this.#isHeld) return;
    this.#batch = undefined;
    this.#context.traffic.sentBytes += batch.length;
    const transport = this.#transport;
    if (this.#queue === undefined && transport.writable && transport instanceof WebSocketTransport)
      this.#send(transport, batch);
    else this.#enqueue(batch);
  }

  /** Flushes before the end of the tick. */
  flushNow(): void {
    const { multiSocketWrite } = this.#context;
    this.#isHeld = false;
    multiSocketWrite.flush();
    this.flush();
    multiSocketWrite.flush();
  }

  /** Sends the transport's close after everything that was added, and writes as much as possible now. */
  finish(): void {
    this.#context.multiSocketWrite.flush();
    this.#isFinishing = true;
    this.#isHeld = false;
    const batch = this.#batch;
    this.#batch = undefined;
    this.#queue ??= new SendQueue();
    if (batch !== undefined) {
      this.#context.traffic.sentBytes += batch.length;
      this.#queue.push(batch, false);
    }
    this.drain();
  }

  /** The transport is writable. */
  drain(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    while (this.#transport.writable) {
      if (this.#transport.sendFrom(queue, this.#isFinishing)) return this.#emptied();
    }
  }

  /** Discards everything that is queued. */
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

  // Slow clients

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
