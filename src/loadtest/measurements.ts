import { Histogram, type HistogramParts } from "./histogram.ts";

/** What one process measured in one second. */
export interface MeasuredSecond {
  /** Number of events by name. A name after a colon is a code: `refused:rate_limited`. */
  counts: Record<string, number>;
  /** Values at the end of the second; they add up over processes. */
  gauges: Record<string, number>;
  histograms: Record<string, HistogramParts>;
}

/** Counters, gauges and histograms of one process since the last `take`. */
export class Measurements {
  #counts: Record<string, number> = {};
  readonly #gauges = new Map<string, () => number>();
  #histograms = new Map<string, Histogram>();

  count(name: string, by = 1): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + by;
  }

  gauge(name: string, read: () => number): void {
    this.#gauges.set(name, read);
  }

  record(name: string, milliseconds: number): void {
    const histogram = this.#histograms.get(name) ?? new Histogram();
    this.#histograms.set(name, histogram);
    histogram.record(milliseconds);
  }

  take(): MeasuredSecond {
    const second = {
      counts: this.#counts,
      gauges: Object.fromEntries([...this.#gauges].map(([name, read]) => [name, read()])),
      histograms: Object.fromEntries([...this.#histograms].map(([name, histogram]) => [name, histogram.toParts()])),
    };
    this.#counts = {};
    this.#histograms = new Map();
    return second;
  }
}
