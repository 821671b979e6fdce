import type { NodeSample, MonitoredNode } from "../run/node-monitor.ts";
import type { Row } from "../run/timeline.ts";

/** Resources that a node used while the load lasted. */
export interface NodeSummary {
  name: string;
  /** Cores. */
  cpuMean: number;
  cpuMax: number;
  memoryBefore: number;
  memoryMax: number;
  connectionsMax: number;
  /** Memory growth per connection while clients connected. */
  bytesPerConnection: number | undefined;
  loopDelayMaxMs: number | undefined;
}

export function summarizeNode({ name, samples }: MonitoredNode, rows: readonly Row[]): NodeSummary {
  const load = rows.filter(({ phase }) => phase === "load");
  const from = (load[0]?.at ?? 0) * 1_000;
  const to = ((load.at(-1)?.at ?? 0) + 1) * 1_000;
  const during = samples.filter(({ at }) => at >= from && at <= to);
  const before = samples.findLast(({ at }) => at <= (rows[0]?.at ?? 0) * 1_000) ?? samples[0];
  const cpu = cpuBetween(during);
  const delays = during.flatMap(({ loopDelayMs }) => loopDelayMs ?? []);
  return {
    name,
    cpuMean: mean(cpu),
    cpuMax: Math.max(0, ...cpu),
    memoryBefore: before?.memoryBytes ?? 0,
    memoryMax: Math.max(0, ...samples.map(({ memoryBytes }) => memoryBytes)),
    connectionsMax: Math.max(0, ...samples.map(({ connections = 0 }) => connections)),
    bytesPerConnection: bytesPerConnection(before, during[0]),
    loopDelayMaxMs: delays.length === 0 ? undefined : Math.max(...delays),
  };
}

/** Cores in use between successive samples. */
export function cpuBetween(samples: readonly NodeSample[]): number[] {
  return samples.slice(1).map((sample, at) => {
    const before = samples[at] as NodeSample;
    return ((sample.cpuSeconds - before.cpuSeconds) * 1_000) / (sample.at - before.at);
  });
}

/** With fewer connections the process's own memory would dominate. */
const minConnections = 500;

function bytesPerConnection(first: NodeSample | undefined, then: NodeSample | undefined): number | undefined {
  const grown = (then?.connections ?? 0) - (first?.connections ?? 0);
  return grown < minConnections ? undefined : ((then?.memoryBytes ?? 0) - (first?.memoryBytes ?? 0)) / grown;
}

export const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
