import type { Percentiles } from "../histogram.ts";
import type { Row, Timeline } from "../run/timeline.ts";
import { mean } from "./nodes.ts";

/** Load of the generator itself while it published, and whether its measurements are reliable. */
export interface GeneratorReport {
  processes: number;
  cores: number;
  /** Cores used by all its processes. */
  cpuMean: number;
  cpuMax: number;
  memoryMax: number;
  /** Share of the machine's CPU in use by all processes. */
  machineMean: number;
  /** Event loop delay of all its processes. */
  loop: Percentiles;
  /** Delay of the publisher after the due time. */
  lag: Percentiles;
  /** Why its latencies are unreliable; empty if they are reliable. */
  warnings: string[];
}

interface GeneratorInput {
  timeline: Timeline;
  rows: readonly Row[];
  cores: number;
  processes: number;
  live: Percentiles;
}

/** Smaller delays are noise. */
const acceptableMs = 5;

/** Share of the measured latency that may be the generator's own delay. */
const acceptableShare = 0.2;

/** Share of its cores, and of the machine's, that may be in use. */
const acceptableCpu = 0.8;

export function judgeGenerator({ timeline, rows, cores, processes, live }: GeneratorInput): GeneratorReport {
  const load = rows.filter(({ phase }) => phase === "load");
  const cpu = load.map(({ gauges }) => gauges["cpu"] ?? 0);
  const generator = {
    processes,
    cores,
    cpuMean: mean(cpu),
    cpuMax: Math.max(0, ...cpu),
    memoryMax: Math.max(0, ...rows.map(({ gauges }) => gauges["memory"] ?? 0)),
    machineMean: mean(load.flatMap(({ gauges }) => gauges["machine"] ?? [])),
    loop: timeline.percentiles("loop", ["load"]),
    lag: timeline.percentiles("lag"),
  };
  return { ...generator, warnings: warningsOf(generator, live) };
}

function warningsOf(
  { loop, lag, cpuMean, processes, machineMean }: Omit<GeneratorReport, "warnings">,
  live: Percentiles,
): string[] {
  const counts = (ownMs: number): boolean => ownMs > acceptableMs && ownMs > live.p99 * acceptableShare;
  const machine = Math.round(machineMean * 100);
  const all: [boolean, string][] = [
    [
      counts(loop.p99),
      `Its event loops were ${loop.p99.toFixed(1)} ms late (p99); measured latencies include this delay.`,
    ],
    [
      counts(lag.p99),
      `It sent publications ${lag.p99.toFixed(1)} ms late (p99); measured latencies include this delay.`,
    ],
    [cpuMean > acceptableCpu * processes, "Its processes ran at full CPU: use more --workers."],
    [
      machineMean > acceptableCpu,
      `${machine} % of this machine's CPU was in use: every process on it was slowed down.`,
    ],
  ];
  return all.filter(([holds]) => holds).map(([, words]) => words);
}
