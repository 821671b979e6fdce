import { readFileSync } from "node:fs";
import { labNow } from "../plan.ts";

/** What a node was seen to use, at one moment. */
export interface NodeSample {
  /** Epoch milliseconds. */
  at: number;
  /** Seconds of CPU since it began. */
  cpuSeconds: number;
  memoryBytes: number;
  connections?: number | undefined;
  /** Milliseconds that ready work waited, p99 since the last look. */
  loopDelayMs?: number | undefined;
  /** Publications it read from Redis since it began. */
  feedMessages?: number | undefined;
}

export interface WatchedNode {
  name: string;
  samples: NodeSample[];
}

export interface NodeWatchOptions {
  /** Where `/metrics` may be answered. */
  metrics: readonly string[];
  /** Processes of this machine, for servers without metrics. */
  pids: readonly number[];
}

/** More seldom than the metrics of the nodes would notice. */
const periodMs = 1_000;
const patienceMs = 900;

/** Looks at the nodes once a second: over their metrics, and where a process is named, in `/proc`. */
export class NodeWatch {
  readonly #options: NodeWatchOptions;
  readonly #nodes = new Map<string, WatchedNode>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.look();
    // A look that fails is a gap in the plot.
    this.#timer = setInterval(() => void this.look(), periodMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  get nodes(): WatchedNode[] {
    return [...this.#nodes.values()];
  }

  /** Never rejects. */
  async look(): Promise<void> {
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
    const response = await fetch(new URL("/metrics", address), { signal: AbortSignal.timeout(patienceMs) });
    return response.ok ? await response.text() : undefined;
  } catch {
    // It is gone, busy, or has no metrics: nothing to show either way.
    return undefined;
  }
}

/** Nodes behind one port answer together; a server that does not name itself goes by its address. */
function textsByNode(text: string, address: string): Map<string, string> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const byNode = Map.groupBy(lines, (line) => /[{,]node="([^"]+)"/.exec(line)?.[1] ?? address);
  return new Map([...byNode].map(([name, own]) => [name, own.join("\n")]));
}

function metricsSample(text: string): NodeSample | undefined {
  const cpuSeconds = sumOf(text, "gateway_process_cpu_seconds_total");
  if (cpuSeconds === undefined) return undefined;
  const delay = sumOf(text, "gateway_event_loop_delay_seconds", 'quantile="0.99"');
  return {
    at: labNow(),
    cpuSeconds,
    memoryBytes: sumOf(text, "gateway_process_resident_memory_bytes") ?? 0,
    connections: sumOf(text, "gateway_connections"),
    loopDelayMs: delay === undefined ? undefined : delay * 1_000,
    feedMessages: sumOf(text, "gateway_feed_messages_total"),
  };
}

/** Over all samples of a metric, or those with a label; undefined where there is none. */
export function sumOf(text: string, metric: string, label = ""): number | undefined {
  const values = text
    .split("\n")
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .filter((line) => line.includes(label))
    .map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0);
}

/** Linux counts CPU in hundredths of a second. */
const ticksPerSecond = 100;
const pageBytes = 4_096;

function processSample(pid: number): NodeSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name may hold anything; fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [userTicks, systemTicks] = [Number(fields[11]), Number(fields[12])];
    const memoryBytes = Number(fields[21]) * pageBytes;
    return { at: labNow(), cpuSeconds: (userTicks + systemTicks) / ticksPerSecond, memoryBytes };
  } catch {
    // Ended, or no Linux.
    return undefined;
  }
}
