import { join } from "node:path";
import type { MetricsText } from "../runtime/metrics.ts";
import type { StickyRoutingDeps } from "../engine/sticky-routing/sticky-routing.ts";

/** Context of a node that shares its port with other workers of this machine. */
export interface WorkerContext extends StickyRoutingDeps {
  /** Metrics of all workers, because a scrape of the shared port reaches any of them. */
  readonly metrics: MetricsText;
  /** Number of workers that accept connections. */
  running(): number;
}

/** Path of the feed hub's Unix socket in the private folder of the workers. */
export const hubPathIn = (folder: string): string => join(folder, "feed");
