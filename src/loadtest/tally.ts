import { Histogram, type HistogramParts } from "./histogram.ts";

/** What one process counted in one second, on its way to the report. */
export interface Second {
  /** What happened, how often. Names after a colon are codes: `refused:rate_limited`. */
  counts: Record<string, number>;
  /** What stood at the end of the second; adds up over processes. */
  gauges: Record<string, number>;
  histograms: Record<string, HistogramParts>;
}

/** Counts and measures of one process since they were last taken. */
export class Tally {
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

  take(): Second {
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
