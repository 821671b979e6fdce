/** Buckets per power of two; keeps every value to within 0.8 %. */
const steps = 128;
const stepBits = 7;

/** 35 minutes in microseconds; larger values are recorded as this one. */
const longest = 2 ** 31 - 1;
const bucketCount = indexOf(longest) + 1;

/** A serialized histogram: indexes of used buckets and their counts, alternating. */
export interface HistogramParts {
  buckets: number[];
  sum: number;
  max: number;
}

/** Percentiles of a distribution in milliseconds. */
export interface Percentiles {
  count: number;
  mean: number;
  p50: number;
  p90: number;
  p95: number;
  p99: number;
  p999: number;
  max: number;
}

/**
 * Durations in milliseconds, stored as whole microseconds in buckets that grow with the value. Unlike Node's histogram
 * of `perf_hooks`, its counts can be sent to another process and added; percentiles of processes cannot be averaged.
 */
export class Histogram {
  readonly #counts = new Uint32Array(bucketCount);
  #count = 0;
  #sum = 0;
  #max = 0;

  record(milliseconds: number): void {
    const micros = Math.min(Math.max(Math.round(milliseconds * 1_000), 0), longest);
    this.#add(indexOf(micros), 1);
    this.#sum += micros;
    this.#max = Math.max(this.#max, micros);
  }

  add({ buckets, sum, max }: HistogramParts): void {
    for (let at = 0; at < buckets.length; at += 2) this.#add(buckets[at] as number, buckets[at + 1] as number);
    this.#sum += sum;
    this.#max = Math.max(this.#max, max);
  }

  get count(): number {
    return this.#count;
  }

  /** The end of the bucket that contains the percentile, at most the maximum; 0 if there are no values. */
  percentile(percent: number): number {
    const wanted = Math.max(Math.ceil((percent / 100) * this.#count), 1);
    let seen = 0;
    for (const [index, count] of this.#counts.entries()) {
      seen += count;
      if (seen >= wanted) return Math.min(highestOf(index), this.#max) / 1_000;
    }
    return 0;
  }

  percentiles(): Percentiles {
    return {
      count: this.#count,
      mean: this.#count === 0 ? 0 : Math.round(this.#sum / this.#count) / 1_000,
      p50: this.percentile(50),
      p90: this.percentile(90),
      p95: this.percentile(95),
      p99: this.percentile(99),
      p999: this.percentile(99.9),
      max: this.#max / 1_000,
    };
  }

  toParts(): HistogramParts {
    const buckets: number[] = [];
    for (const [index, count] of this.#counts.entries()) if (count > 0) buckets.push(index, count);
    return { buckets, sum: this.#sum, max: this.#max };
  }

  #add(index: number, count: number): void {
    this.#counts[index] = (this.#counts[index] ?? 0) + count;
    this.#count += count;
  }
}

/** Small values have one bucket each; larger ones share a bucket with equal leading bits. */
function indexOf(micros: number): number {
  const excess = Math.max(31 - Math.clz32(micros) - stepBits, 0);
  return excess * steps + (micros >>> excess);
}

function highestOf(index: number): number {
  const excess = Math.max((index >>> stepBits) - 1, 0);
  return (index - excess * steps + 1) * 2 ** excess - 1;
}
