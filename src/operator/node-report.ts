import type { Readiness } from "../http/readiness.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { NodeReport, NodeHistorySample } from "../protocol/operator/operator.ts";

export interface NodeReporterDeps {
  nodeId: string;
  version: string;
  metrics: Pick<Metrics, "handshakes" | "publications" | "deliveries" | "refusals" | "closings" | "channelsWatched">;
  /** Open connections and the bytes in their send queues. */
  connections: { readonly count: number; all(): Iterable<{ readonly queuedBytes: number }> };
  readiness: Readiness;
  isDraining: () => boolean;
  /** Milliseconds that ready work waited since the last call. */
  recentLoopDelay: () => number;
  /** Milliseconds since the last confirmed heartbeat. */
  leaseAgeMs: () => number;
  /** Redis' clock. */
  clock: Clock;
  /** This machine's. */
  ownClock: Pick<Clock, "now">;
}

const sampleEveryMs = 10_000;
/** Fifteen minutes. */
const maxSamples = 90;

interface Totals {
  at: number;
  monotonic: number;
  handshakes: number;
  publications: number;
  deliveries: number;
  refusals: number;
  closings: number;
  cpuMicros: number;
}

/** What a node tells operators about itself: its state now, and a sample every ten seconds. */
export class NodeReporter {
  readonly #deps: NodeReporterDeps;
  readonly #startedAt: number;
  readonly #samples: NodeHistorySample[] = [];
  #last: Totals | undefined;
  #utilization = performance.eventLoopUtilization();
  #busy = 0;
  #loopDelayMs = 0;
  #cancel: Cancel | undefined;

  constructor(deps: NodeReporterDeps) {
    this.#deps = deps;
    this.#startedAt = deps.clock.now();
  }

  async start(): Promise<void> {
    this.#last = await this.#totals();
    this.#cancel = this.#deps.clock.every(sampleEveryMs, () => void this.#sample());
  }

  stop(): void {
    this.#cancel?.();
  }

  get samples(): readonly NodeHistorySample[] {
    return this.#samples;
  }

  async report(): Promise<Omit<NodeReport, "answerMs">> {
    const { nodeId, version, metrics, connections, isDraining, leaseAgeMs, clock, ownClock } = this.#deps;
    const { state, reason } = await this.#state();
    let queuedBytes = 0;
    for (const connection of connections.all()) queuedBytes += connection.queuedBytes;
    return {
      nodeId,
      state: isDraining() ? "draining" : state,
      ...(reason === "" ? {} : { reason }),
      version,
      nodejsVersion: process.versions.node,
      startedAt: this.#startedAt,
      connections: connections.count,
      channels: await sumOf(metrics.channelsWatched),
      queuedBytes,
      memoryBytes: process.memoryUsage.rss(),
      cpuCores: this.#samples.at(-1)?.cpuCores ?? 0,
      eventLoopUtilization: this.#busy,
      eventLoopDelayMs: this.#loopDelayMs,
      leaseAgeMs: Math.round(leaseAgeMs()),
      clockOffsetMs: ownClock.now() - clock.now(),
      handshakes: await countsBy(metrics.handshakes, "outcome"),
      publications: await sumOf(metrics.publications),
      deliveries: await sumOf(metrics.deliveries),
      refusals: await countsBy(metrics.refusals, "code"),
      closings: await countsBy(metrics.closings, "code"),
    };
  }

  async #state(): Promise<{ state: NodeReport["state"]; reason: string }> {
    const { status, checks } = await this.#deps.readiness();
    const wrong = Object.entries(checks).filter(([, check]) => check.status !== "ok");
    const reason = wrong.map(([name, { note = "failing" }]) => `${name}: ${note}`).join("; ");
    // A fenced node is unavailable too; the fence says what its clients notice.
    return { state: checks["cluster"]?.status === "failing" ? "fenced" : status, reason };
  }

  async #sample(): Promise<void> {
    const now = await this.#totals();
    const last = this.#last ?? now;
    this.#last = now;
    const seconds = Math.max((now.monotonic - last.monotonic) / 1_000, 0.001);
    const rate = (name: "handshakes" | "publications" | "deliveries" | "refusals" | "closings"): number =>
      rounded((now[name] - last[name]) / seconds);
    this.#samples.push({
      at: now.at,
      connections: this.#deps.connections.count,
      handshakes: rate("handshakes"),
      publications: rate("publications"),
      deliveries: rate("deliveries"),
      refusals: rate("refusals"),
      closings: rate("closings"),
      cpuCores: rounded((now.cpuMicros - last.cpuMicros) / 1_000_000 / seconds),
      memoryBytes: process.memoryUsage.rss(),
    });
    if (this.#samples.length > maxSamples) this.#samples.shift();
    const utilization = performance.eventLoopUtilization();
    this.#busy = rounded(performance.eventLoopUtilization(utilization, this.#utilization).utilization);
    this.#utilization = utilization;
    this.#loopDelayMs = this.#deps.recentLoopDelay();
  }

  async #totals(): Promise<Totals> {
    const { metrics, clock } = this.#deps;
    const { user, system } = process.cpuUsage();
    return {
      at: clock.now(),
      monotonic: clock.monotonic(),
      handshakes: await sumOf(metrics.handshakes),
      publications: await sumOf(metrics.publications),
      deliveries: await sumOf(metrics.deliveries),
      refusals: await sumOf(metrics.refusals),
      closings: await sumOf(metrics.closings),
      cpuMicros: user + system,
    };
  }
}

/** Sums of the samples of several nodes, of the same ten seconds each; nodes without one are left out. */
export function mergeSamples(histories: readonly (readonly NodeHistorySample[])[]): NodeHistorySample[] {
  const slots = Map.groupBy(histories.flat(), ({ at }) => Math.floor(at / sampleEveryMs));
  const merged = [...slots].map(([slot, samples]) => {
    const sum = (name: keyof NodeHistorySample): number =>
      rounded(samples.reduce((total, one) => total + one[name], 0));
    return {
      at: slot * sampleEveryMs,
      connections: sum("connections"),
      handshakes: sum("handshakes"),
      publications: sum("publications"),
      deliveries: sum("deliveries"),
      refusals: sum("refusals"),
      closings: sum("closings"),
      cpuCores: sum("cpuCores"),
      memoryBytes: sum("memoryBytes"),
    };
  });
  return merged.toSorted((a, b) => a.at - b.at).slice(-maxSamples);
}

/** Sums over nodes, and by code or outcome. */
export function sumsOf(nodes: readonly Omit<NodeReport, "answerMs">[]) {
  const sum = (name: "connections" | "channels" | "queuedBytes" | "publications" | "deliveries"): number =>
    nodes.reduce((total, node) => total + node[name], 0);
  const sums = (name: "handshakes" | "refusals" | "closings"): Record<string, number> => {
    const groups = Map.groupBy(
      nodes.flatMap((node) => Object.entries(node[name])),
      ([code]) => code,
    );
    return Object.fromEntries(
      [...groups].map(([code, all]) => [code, all.reduce((total, [, count]) => total + count, 0)]),
    );
  };
  return {
    connections: sum("connections"),
    channels: sum("channels"),
    queuedBytes: sum("queuedBytes"),
    handshakes: sums("handshakes"),
    publications: sum("publications"),
    deliveries: sum("deliveries"),
    refusals: sums("refusals"),
    closings: sums("closings"),
  };
}

interface Readable {
  get(): Promise<{ values: { value: number; labels: object }[] }>;
}

async function sumOf(metric: Readable): Promise<number> {
  return (await metric.get()).values.reduce((sum, { value }) => sum + value, 0);
}

async function countsBy(metric: Readable, label: string): Promise<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const { value, labels } of (await metric.get()).values) {
    const name = String((labels as Record<string, unknown>)[label]);
    sums[name] = (sums[name] ?? 0) + value;
  }
  return sums;
}

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;
