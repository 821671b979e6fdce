import type { Batch, Frame } from "./batch.ts";

/** Deliveries to one reader that were not made. */
export interface Skipped {
  /** Frames that a later one with the same key has replaced. */
  conflated: number;
  volatile: number;
}

const nothing: Skipped = { conflated: 0, volatile: 0 };

/**
 * What waits for one reader that lags, in order. At first whole batches, which it shares with others; under pressure single
 * frames, of which one with a key takes the place of the one before, at the end: so neither the order within a channel
 * nor that over all of them is disturbed.
 */
export class Backlog {
  readonly #batches: Batch[] = [];
  readonly #frames = new Map<string | number, Frame>();
  #unkeyed = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0 && this.#frames.size === 0;
  }

  keep(batch: Batch, isUnderPressure: boolean): Skipped {
    if (this.#frames.size > 0 || (isUnderPressure && !batch.isPlain)) return this.#keepLatest(batch, isUnderPressure);
    this.#batches.push(batch);
    this.#bytes += batch.length;
    return nothing;
  }

  /** Takes out what comes next. */
  shift(): Batch | undefined {
    const batch = this.#batches.shift() ?? this.#shiftFrame();
    if (batch !== undefined) this.#bytes -= batch.length;
    return batch;
  }

  #shiftFrame(): Batch | undefined {
    const [entry] = this.#frames;
    if (entry === undefined) return undefined;
    const [key, frame] = entry;
    this.#frames.delete(key);
    return frame.alone;
  }

  #keepLatest(batch: Batch, isUnderPressure: boolean): Skipped {
    const skipped = { conflated: 0, volatile: 0 };
    for (const frame of batch.frames()) {
      if (frame.isVolatile && isUnderPressure) skipped.volatile += 1;
      else if (this.#replace(frame)) skipped.conflated += 1;
    }
    return skipped;
  }

  /** True where there was one before. */
  #replace(frame: Frame): boolean {
    const key = frame.key ?? this.#unkeyed++;
    const before = this.#frames.get(key);
    this.#frames.delete(key);
    this.#frames.set(key, frame);
    this.#bytes += frame.bytes.length - (before?.bytes.length ?? 0);
    return before !== undefined;
  }
}
