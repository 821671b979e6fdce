import { Counter, Gauge, Registry } from "prom-client";
import { processMetricsIn, strayErrorsIn } from "../runtime/metrics.ts";

/** Metrics of the primary process and of its workers' states. */
export interface PrimaryMetrics {
  registry: Registry;
  workersLost: Counter;
  strayErrors: Counter<"kind">;
}

export function createPrimaryMetrics(nodeId: string, running: () => number): PrimaryMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ node_id: nodeId });
  processMetricsIn(registry);
  const registers = [registry];
  const workersRunning = new Gauge({
    name: "gateway_workers_running",
    help: "Workers that accept connections.",
    registers,
  });
  Object.assign(workersRunning, { collect: () => workersRunning.set(running()) });
  return {
    registry,
    workersLost: new Counter({
      name: "gateway_workers_lost_total",
      help: "Workers that exited unexpectedly and were replaced.",
      registers,
    }),
    strayErrors: strayErrorsIn(registry),
  };
}
