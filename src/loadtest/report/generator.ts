import type { Percentiles } from "../histogram.ts";
import type { Row, Timeline } from "../run/timeline.ts";
import { mean } from "./nodes.ts";

/** How busy the generator itself was while the load lasted, and what that means for its figures. */
export interface Generator {
  processes: number;
  cores: number;
  /** Cores that its processes used together. */
  cpuMean: number;
  cpuMax: number;
  memoryMax: number;
  /** Share of the machine's CPU that was in use, by whomever. */
  machineMean: number;
  /** How late its event loops came to ready work, over all processes. */
  loop: Percentiles;
  /** How late it came to a publication that was due. */
  lag: Percentiles;
  /** Why its latencies cannot be trusted; empty where they can. */
  warnings: string[];
}

interface Seen {
  timeline: Timeline;
  rows: readonly Row[];
  cores: number;
  processes: number;
  live: Percentiles;
}

/** Own delays below this are noise. */
const harmlessMs = 5;

/** A share of what is measured that may be the generator's own. */
const harmlessShare = 0.2;

/** Share of its cores, and of the machine's, that may be in use before work has to wait for a core. */
const harmlessCpu = 0.8;

export function judgeGenerator({ timeline, rows, cores, processes, live }: Seen): Generator {
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
  { loop, lag, cpuMean, processes, machineMean }: Omit<Generator, "warnings">,
  live: Percentiles,
): string[] {
  const counts = (ownMs: number): boolean => ownMs > harmlessMs && ownMs > live.p99 * harmlessShare;
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
    [cpuMean > harmlessCpu * processes, "Its processes ran at full CPU: use more --workers."],
    [machineMean > harmlessCpu, `${machine} % of this machine's CPU was in use: every process on it was slowed down.`],
  ];
  return all.filter(([holds]) => holds).map(([, words]) => words);
}
