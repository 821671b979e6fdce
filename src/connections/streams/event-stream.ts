import type { ServerResponse } from "node:http";
import { SendQueue, type Skipped } from "../../engine/send-queue.ts";
import type { Frame, FrameBatch } from "../../engine/frames.ts";
import type { EndOfTickFlusher, Flushable } from "../../engine/end-of-tick.ts";
import type { EventIdWriter } from "./event-id.ts";
import { eventOf } from "./stream-event.ts";
import type { StreamOutput } from "./stream-connection.ts";

export interface EventStreamContext {
  /** Max bytes that may wait for one client. Beyond half of it only the latest is kept of what may be conflated. */
  readonly queueBytes: number;
  readonly endOfTick: Pick<EndOfTickFlusher, "schedule">;
  onSkipped(skipped: Skipped): void;
}

/**
 * Writes server-sent events. The events of one tick leave in one write; what the client does not take waits in the same
 * send queue as a socket's, within the same budget.
 */
export class EventStream implements StreamOutput, Flushable {
  readonly #response: ServerResponse;
  readonly #context: EventStreamContext;
  readonly #ids: EventIdWriter;
  readonly #onOverflow: () => void;
  #batch: FrameBatch | undefined;
  #queue: SendQueue | undefined;
  /** An answer may be larger than the budget by itself. */
  #allowance = 0;

  constructor(response: ServerResponse, ids: EventIdWriter, context: EventStreamContext, onOverflow: () => void) {
    this.#response = response;
    this.#ids = ids;
    this.#context = context;
    this.#onOverflow = onOverflow;
    response.on("drain", () => this.#drain());
  }

  get queuedBytes(): number {
    return this.#response.writableLength + (this.#queue?.bytes ?? 0);
  }

  add(frame: Frame): void {
    if (this.#batch !== undefined) this.#batch = this.#batch.and(frame);
    else {
      this.#batch = frame.alone;
      this.#context.endOfTick.schedule(this);
    }
  }

  /** The answer to a subscription, which may be larger than the budget. Resolves when the client has taken most of it. */
  async addAnswer(frames: readonly Frame[]): Promise<void> {
    this.#allowance = frames.reduce((sum, { cost }) => sum + cost, 0);
    for (const frame of frames) this.add(frame);
    this.flush();
    if (this.#queue !== undefined) await new Promise<void>((resolve) => this.#whenDrained.push(resolve));
  }

  readonly #whenDrained: (() => void)[] = [];

  flush(): void {
    const batch = this.#batch;
    if (batch === undefined) return;
    this.#batch = undefined;
    if (this.#queue === undefined && !this.#response.writableNeedDrain) return this.#write(batch);
    const isUnderPressure = this.queuedBytes > this.#context.queueBytes / 2;
    const skipped = (this.#queue ??= new SendQueue()).push(batch, isUnderPressure);
    if (skipped.conflated + skipped.volatile > 0) this.#context.onSkipped(skipped);
    if (this.queuedBytes > this.#context.queueBytes + this.#allowance) this.#onOverflow();
  }

  /** A comment, which keeps proxies from closing a silent connection. */
  keepAlive(): void {
    if (!this.#response.writableNeedDrain) this.#response.write(":\n\n");
  }

  /** Tells the client when to reconnect by itself. */
  retryAfter(ms: number): void {
    this.flush();
    this.#response.write(`retry: ${ms}\n\n`);
  }

  finish(last: Frame | undefined): void {
    if (last !== undefined) this.add(last);
    const batch = this.#batch;
    this.#batch = undefined;
    for (let next = this.#queue?.shift(); next !== undefined; next = this.#queue?.shift()) this.#write(next);
    if (batch !== undefined) this.#write(batch);
    this.#release();
    this.#response.end();
  }

  /** Forgets what waits: it will not be sent. */
  drop(): void {
    this.#batch = undefined;
    this.#queue = undefined;
  }

  destroy(): void {
    this.#release();
    this.#response.destroy();
  }

  #drain(): void {
    while (!this.#response.writableNeedDrain) {
      const batch = this.#queue?.shift();
      if (batch === undefined) return this.#release();
      this.#write(batch);
    }
  }

  #release(): void {
    this.#queue = undefined;
    this.#allowance = 0;
    for (const resolve of this.#whenDrained.splice(0)) resolve();
  }

  #write(batch: FrameBatch): void {
    this.#response.write(
      batch
        .frames()
        .map((frame) => this.#textOf(frame))
        .join(""),
    );
  }

  #textOf(frame: Frame): string {
    const { name, data, at } = eventOf(frame);
    if (at !== undefined) this.#ids.note(at.channel, at.position);
    return `event: ${name}\ndata: ${data}\nid: ${this.#ids.id}\n\n`;
  }
}
