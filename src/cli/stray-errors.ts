import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Host } from "./host.ts";

/** One broken promise must not cost ten thousand connections: said, counted, and the node goes on. */
export function logStrayErrors(
  host: Host,
  { log, metrics }: { log: Logger; metrics: Pick<Metrics, "strayErrors"> },
): void {
  host.onStrayError((kind, error) => {
    log.error({ kind, err: error }, "uncaught error");
    metrics.strayErrors.inc({ kind });
  });
}
