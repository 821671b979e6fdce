import type { Control } from "../cluster/control.ts";
import type { NodeQueries } from "../cluster/node-queries.ts";
import type { Config } from "../config.ts";
import type { LiveTraces } from "../operator/live-traces.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { ReasonLog } from "../runtime/reason-log.ts";
import type { Spans } from "../runtime/spans.ts";
import type { Store } from "./store.ts";

/** Everything that each part of a node needs. */
export interface NodeContext {
  config: Config;
  store: Store;
  control: Control;
  /** Questions to all nodes. */
  queries: NodeQueries;
  metrics: Metrics;
  reasons: ReasonLog;
  traces: LiveTraces;
  spans: Spans;
  clock: Clock;
  log: Logger;
}
