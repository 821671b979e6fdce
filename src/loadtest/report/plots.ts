import { cpuBetween } from "./nodes.ts";
import type { Report } from "./report.ts";
import type { Row } from "../run/timeline.ts";

/** One curve; null where there is no value. */
export interface Series {
  label: string;
  values: (number | null)[];
}

export interface Plot {
  title: string;
  unit: string;
  /** Seconds from the start of the run. */
  x: number[];
  series: Series[];
  /** Logarithmic scale. */
  isLogarithmic?: true;
}

/** The plots of the report, without empty ones. */
export function plotsOf(report: Report): Plot[] {
  const plots = [latency(report), throughput(report), connections(report), ...ofNodes(report), ...ofGenerator(report)];
  return plots.filter(
    ({ series, x }) => x.length > 1 && series.some(({ values }) => values.some((one) => one !== null)),
  );
}

function latency({ timeline, startedAt }: Report): Plot {
  const of = (name: "live" | "late", key: "p50" | "p99" | "max") =>
    timeline.map(({ latencies }) => latencies[name]?.[key] || null);
  return {
    title: "Latency from due to receipt",
    unit: "ms",
    isLogarithmic: true,
    x: secondsOf(timeline, startedAt),
    series: [
      { label: "p50", values: of("live", "p50") },
      { label: "p99", values: of("live", "p99") },
      { label: "max", values: of("live", "max") },
      { label: "recovered, max", values: of("late", "max") },
    ],
  };
}

function throughput({ timeline, startedAt }: Report): Plot {
  const of = (name: string) => timeline.map(({ counts }) => counts[name] ?? 0);
  return {
    title: "Throughput",
    unit: "/s",
    isLogarithmic: true,
    x: secondsOf(timeline, startedAt),
    series: [
      { label: "published", values: of("published").map(orNull) },
      { label: "delivered", values: of("delivered").map(orNull) },
    ],
  };
}

function connections({ timeline, startedAt }: Report): Plot {
  const codes = (prefix: string) =>
    timeline.map(({ counts }) =>
      Object.entries(counts).reduce((sum, [name, count]) => sum + (name.startsWith(`${prefix}:`) ? count : 0), 0),
    );
  return {
    title: "Connections",
    unit: "",
    x: secondsOf(timeline, startedAt),
    series: [
      { label: "reading", values: timeline.map(({ gauges }) => gauges["reading"] ?? null) },
      { label: "lost /s", values: codes("lost") },
      { label: "refused /s", values: codes("refused") },
    ],
  };
}

/** Nodes are sampled at other times than the timeline's rows; the plot shows one sample per second. */
function ofNodes({ nodeSamples, timeline, startedAt }: Report): Plot[] {
  const x = secondsOf(timeline, startedAt);
  const bySecond = (samples: readonly { at: number }[], values: readonly number[]): (number | null)[] => {
    const known = new Map(samples.map(({ at }, index) => [Math.floor(at / 1_000), values[index] ?? null]));
    return timeline.map(({ at }) => known.get(at) ?? null);
  };
  const plot = (
    title: string,
    unit: string,
    curve: (node: Report["nodeSamples"][number]) => Series["values"],
  ): Plot => ({
    title,
    unit,
    x,
    series: nodeSamples.map((node) => ({ label: node.name, values: curve(node) })),
  });
  const mebibytes = (bytes: number): number => bytes / 1_048_576;
  return [
    plot("CPU of the nodes", "cores", ({ samples }) => bySecond(samples.slice(1), cpuBetween(samples))),
    plot("Memory of the nodes", "MiB", ({ samples }) =>
      bySecond(
        samples,
        samples.map(({ memoryBytes }) => mebibytes(memoryBytes)),
      ),
    ),
    plot("Connections of the nodes", "", ({ samples }) => {
      const known = samples.filter(({ connections }) => connections !== undefined);
      return bySecond(
        known,
        known.map(({ connections = 0 }) => connections),
      );
    }),
  ];
}

function ofGenerator({ timeline, startedAt, generator }: Report): Plot[] {
  const x = secondsOf(timeline, startedAt);
  const gauge = (name: string, scale = 1) =>
    timeline.map(({ gauges }) => (gauges[name] === undefined ? null : gauges[name] * scale));
  const p99 = (name: string) => timeline.map(({ latencies }) => latencies[name]?.p99 ?? null);
  const cpu = [
    { label: "generator", values: gauge("cpu") },
    { label: "whole machine", values: gauge("machine", generator.cores) },
  ];
  const delays = [
    { label: "event loops", values: p99("loop") },
    { label: "publisher", values: p99("lag") },
  ];
  return [
    { title: "CPU of the generator and of its machine", unit: "cores", x, series: cpu },
    { title: "Delay of the generator, p99", unit: "ms", x, series: delays },
  ];
}

const secondsOf = (rows: readonly Row[], startedAt: number): number[] =>
  rows.map(({ at }) => Math.round(at - startedAt / 1_000));

const orNull = (value: number): number | null => (value === 0 ? null : value);
