import type { Frame, FrameBatch } from "./frames.ts";

/** Deliveries to one reader that were not made. */
export interface Skipped {
  /** Frames that a later one with the same key has replaced. */
  conflated: number;
  volatile: number;
}

const nothing: Skipped = { conflated: 0, volatile: 0 };

/**
 * What waits for a connection that cannot be written to, in order. At first whole batches, which it shares with others;
 * under pressure single frames, of which one with a key takes the place of the one before, at the end: so neither the
 * order within a channel nor that over all of them is disturbed.
 */
export class SendQueue {
  readonly #batches: FrameBatch[] = [];
  readonly #frames = new Map<string | number, Frame>();
  #unkeyed = 0;
  #bytes = 0;

  /** What it counts for in the connection's budget. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0 && this.#frames.size === 0;
  }

  push(batch: FrameBatch, isUnderPressure: boolean): Skipped {
    if (this.#frames.size > 0 || (isUnderPressure && !batch.isPlain)) return this.#pushLatest(batch, isUnderPressure);
    this.#batches.push(batch);
    this.#bytes += batch.cost;
    return nothing;
  }

  /** Takes out what comes next. */
  shift(): FrameBatch | undefined {
    const batch = this.#batches.shift() ?? this.#shiftFrame();
    if (batch !== undefined) this.#bytes -= batch.cost;
    return batch;
  }

  /** Takes out the first frames, at most `count`. */
  shiftFrames(count: number): Frame[] {
    const frames: Frame[] = [];
    while (frames.length < count) {
      const batch = this.shift();
      if (batch === undefined) break;
      const all = batch.frames();
      const room = count - frames.length;
      frames.push(...all.slice(0, room));
      this.#putBack(all.slice(room));
    }
    return frames;
  }

  #putBack([first, ...more]: readonly Frame[]): void {
    if (first === undefined) return;
    const batch = more.reduce((sum, frame) => sum.and(frame), first.alone);
    this.#batches.unshift(batch);
    this.#bytes += batch.cost;
  }

  #shiftFrame(): FrameBatch | undefined {
    const [entry] = this.#frames;
    if (entry === undefined) return undefined;
    const [key, frame] = entry;
    this.#frames.delete(key);
    return frame.alone;
  }

  #pushLatest(batch: FrameBatch, isUnderPressure: boolean): Skipped {
    const skipped = { conflated: 0, volatile: 0 };
    for (const frame of batch.frames()) {
      if (frame.isVolatile && isUnderPressure) skipped.volatile += 1;
      else if (this.#replace(frame)) skipped.conflated += 1;
    }
    return skipped;
  }

  /** True if there was one with the same key. */
  #replace(frame: Frame): boolean {
    const key = frame.key ?? this.#unkeyed++;
    const before = this.#frames.get(key);
    this.#frames.delete(key);
    this.#frames.set(key, frame);
    this.#bytes += frame.cost - (before?.cost ?? 0);
    return before !== undefined;
  }
}
