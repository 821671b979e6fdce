import { readFileSync } from "node:fs";
import { urlBelow } from "../../runtime/url-below.ts";
import { epochNow } from "../plan.ts";

/** Resource usage of a node at one moment. */
export interface NodeSample {
  /** Epoch milliseconds. */
  at: number;
  /** CPU seconds since it started. */
  cpuSeconds: number;
  memoryBytes: number;
  connections?: number | undefined;
  /** Event loop delay in milliseconds, p99 since the last sample. */
  loopDelayMs?: number | undefined;
  /** Publications read from Redis since it started. */
  feedMessages?: number | undefined;
}

export interface MonitoredNode {
  name: string;
  samples: NodeSample[];
}

export interface NodeMonitorOptions {
  /** URLs that may serve `/metrics`. */
  metrics: readonly string[];
  /** Local processes, for servers without metrics. */
  pids: readonly number[];
}

/** Seldom enough not to load the nodes. */
const periodMs = 1_000;
const timeoutMs = 900;

/** Samples the nodes once a second from their metrics, and local processes from `/proc`. */
export class NodeMonitor {
  readonly #options: NodeMonitorOptions;
  readonly #nodes = new Map<string, MonitoredNode>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: NodeMonitorOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.sample();
    // A failed sample is a gap in the plot.
    this.#timer = setInterval(() => void this.sample(), periodMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get nodes(): MonitoredNode[] {
    return [...this.#nodes.values()];
  }

  /** Never rejects. */
  async sample(): Promise<void> {
    for (const pid of this.#options.pids) this.#keep(`pid ${pid}`, processSample(pid));
    await Promise.all(
      this.#options.metrics.map(async (address) => {
        const text = await metricsOf(address);
        for (const [name, own] of textsByNode(text ?? "", address)) this.#keep(name, metricsSample(own));
      }),
    );
  }

  #keep(name: string, sample: NodeSample | undefined): void {
    if (sample === undefined) return;
    const node = this.#nodes.get(name) ?? { name, samples: [] };
    this.#nodes.set(name, node);
    node.samples.push(sample);
  }
}

async function metricsOf(address: string): Promise<string | undefined> {
  try {
    const url = urlBelow(address.replace(/\/metrics\/*$/, ""), "/metrics");
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    return response.ok ? await response.text() : undefined;
  } catch {
    // The node is down, busy, or has no metrics.
    return undefined;
  }
}

/** Nodes behind one port respond together; a server without a node label is named by its address. */
function textsByNode(text: string, address: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const byNode = Map.groupBy(lines, (line) => /[{,]node_id="([^"]+)"/.exec(line)?.[1] ?? address);
  return new Map([...byNode].map(([name, own]) => [name, own.join("\n")]));
}

function metricsSample(text: string): NodeSample | undefined {
  const cpuSeconds = sumOf(text, "process_cpu_seconds_total");
  if (cpuSeconds === undefined) return undefined;
  const delay = sumOf(text, "gateway_event_loop_delay_seconds", 'percentile="99"');
  return {
    at: epochNow(),
    cpuSeconds,
    memoryBytes: sumOf(text, "process_resident_memory_bytes") ?? 0,
    connections: sumOf(text, "gateway_connections"),
    loopDelayMs: delay === undefined ? undefined : delay * 1_000,
    feedMessages: sumOf(text, "gateway_feed_messages_total"),
  };
}

/** Sum of a metric's samples, or of those with a label; undefined if there are none. */
export function sumOf(text: string, metric: string, label = ""): number | undefined {
  const values = text
    .split("\n")
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .filter((line) => line.includes(label))
    .map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
}

/** Linux counts CPU time in hundredths of a second. */
const ticksPerSecond = 100;
const pageBytes = 4_096;

function processSample(pid: number): NodeSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The process name may contain anything; the fields follow it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
    const memoryBytes = Number(fields[21]) * pageBytes;
    return { at: epochNow(), cpuSeconds: (userTicks + systemTicks) / ticksPerSecond, memoryBytes };
  } catch {
    // The process has exited, or this is not Linux.
    return undefined;
  }
}
