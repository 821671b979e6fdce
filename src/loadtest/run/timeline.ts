import { Histogram, type HistogramParts, type Percentiles } from "../histogram.ts";
import type { MeasuredSecond } from "../measurements.ts";

/** `load`: from the first publication to the last. */
export type RunPhase = "ramp" | "load" | "settle";

/** One second of the run over all processes. */
export interface Row {
  /** Seconds since the epoch. */
  at: number;
  phase: RunPhase;
  counts: Record<string, number>;
  gauges: Record<string, number>;
  latencies: Record<string, Percentiles>;
}

/** Measurements of a second arrive within this time; afterwards only its percentiles are kept. */
const openSeconds = 5;

interface OpenRow extends Row {
  byProcess: Map<string, Record<string, number>>;
  histograms: Map<string, Histogram>;
}

/** Measurements of all processes, by second and in total. */
export class Timeline {
  phase: RunPhase = "ramp";
  readonly #rows = new Map<number, OpenRow>();
  readonly #totals = new Map<string, Histogram>();
  readonly #counts: Record<string, number> = {};
  readonly #latestGauges = new Map<string, Record<string, number>>();
  #latest = 0;

  add(name: string, at: number, { counts, gauges, histograms }: MeasuredSecond): void {
    const row = this.#row(at);
    for (const [key, count] of Object.entries(counts)) {
      row.counts[key] = (row.counts[key] ?? 0) + count;
      this.#counts[key] = (this.#counts[key] ?? 0) + count;
    }
    row.byProcess.set(name, gauges);
    this.#latestGauges.set(name, gauges);
    for (const [key, parts] of Object.entries(histograms)) this.#record(row, key, parts);
  }

  /** One row per second, in order. */
  get rows(): Row[] {
    return [...this.#rows.values()].toSorted((one, other) => one.at - other.at).map(toRow);
  }

  /** The last second that all processes have reported. */
  get last(): Row | undefined {
    const row = this.#rows.get(this.#latest - 1) ?? this.#rows.get(this.#latest);
    return row === undefined ? undefined : toRow(row);
  }

  /** Sum of the processes' latest values. */
  gauge(name: string): number {
    return sumOf([...this.#latestGauges.values()])[name] ?? 0;
  }

  count(name: string): number {
    return this.#counts[name] ?? 0;
  }

  /** Counts by code: `refused` returns those of `refused:rate_limited` and others. */
  codes(name: string): Record<string, number> {
    const own = Object.entries(this.#counts).filter(([key]) => key.startsWith(`${name}:`));
    return Object.fromEntries(own.map(([key, count]) => [key.slice(name.length + 1), count]));
  }

  /** Of the whole run, or of the given phases. */
  percentiles(name: string, phases: readonly RunPhase[] = ["ramp", "load", "settle"]): Percentiles {
    const sum = new Histogram();
    for (const phase of phases) {
      const total = this.#totals.get(`${phase} ${name}`);
      if (total !== undefined) sum.add(total.toParts());
    }
    return sum.percentiles();
  }

  #row(at: number): OpenRow {
    const known = this.#rows.get(at);
    if (known !== undefined) return known;
    const row: OpenRow = {
      at,
      phase: this.phase,
      counts: {},
      gauges: {},
      latencies: {},
      byProcess: new Map(),
      histograms: new Map(),
    };
    this.#rows.set(at, row);
    this.#latest = Math.max(this.#latest, at);
    const past = this.#rows.get(at - openSeconds);
    if (past !== undefined) condense(past);
    return row;
  }

  #record(row: OpenRow, name: string, parts: HistogramParts): void {
    histogramOf(row.histograms, name).add(parts);
    histogramOf(this.#totals, `${row.phase} ${name}`).add(parts);
  }
}

function histogramOf(histograms: Map<string, Histogram>, name: string): Histogram {
  const known = histograms.get(name) ?? new Histogram();
  histograms.set(name, known);
  return known;
}

/** Drops histograms, which take some kilobytes per second of the run. */
function condense(row: OpenRow): void {
  Object.assign(row, toRow(row));
  row.histograms.clear();
  row.byProcess.clear();
}

function toRow({ at, phase, counts, gauges, latencies, byProcess, histograms }: OpenRow): Row {
  const fresh = [...histograms].map(([name, histogram]) => [name, histogram.percentiles()] as const);
  return {
    at,
    phase,
    counts,
    gauges: { ...gauges, ...sumOf([...byProcess.values()]) },
    latencies: { ...latencies, ...Object.fromEntries(fresh) },
  };
}

function sumOf(all: readonly Record<string, number>[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const gauges of all) for (const [name, value] of Object.entries(gauges)) sum[name] = (sum[name] ?? 0) + value;
  return sum;
}
