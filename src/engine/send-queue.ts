import type { Frame, FrameBatch } from "./frames.ts";

/** Deliveries that one reader did not get. */
export interface Skipped {
  /** Frames replaced by a later one with the same key. */
  conflated: number;
  volatile: number;
}

const nothing: Skipped = { conflated: 0, volatile: 0 };

/**
 * Queues frames for a connection that is not writable, in order. Initially it holds whole batches, shared with other connections;
 * under pressure it holds single frames, and a frame with a key removes the previous one with that key and is appended at the
 * end, so that the order within and across channels is kept.
 */
export class SendQueue {
  readonly #batches: FrameBatch[] = [];
  readonly #frames = new Map<string | number, Frame>();
  /** Before the first frame of the map, which a new iterator would find behind the holes of all that were removed. */
  #walk: MapIterator<[string | number, Frame]> | undefined;
  #unkeyed = 0;
  #bytes = 0;

  /** Its size, in bytes. */
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

  /** Removes and returns the next batch. */
  shift(): FrameBatch | undefined {
    const batch = this.#batches.shift() ?? this.#shiftFrame();
    if (batch !== undefined) this.#bytes -= batch.cost;
    return batch;
  }

  /** Removes and returns the first frames, at most `count`. */
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
    const next = (this.#walk ??= this.#frames.entries()).next();
    if (next.done === true) {
      this.#walk = undefined;
      return undefined;
    }
    const [key, frame] = next.value;
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

  /** True if a frame with the same key was queued. */
  #replace(frame: Frame): boolean {
    const key = frame.key ?? this.#unkeyed++;
    const before = this.#frames.get(key);
    this.#frames.delete(key);
    this.#frames.set(key, frame);
    this.#bytes += frame.cost - (before?.cost ?? 0);
    return before !== undefined;
  }
}
