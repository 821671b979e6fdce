import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Host } from "./host.ts";

/** Uncaught errors are logged and counted, and the node continues: one bug must not disconnect all clients. */
export function logStrayErrors(
  host: Host,
  { log, metrics }: { log: Logger; metrics: Pick<Metrics, "strayErrors"> },
): void {
  host.onStrayError((kind, error) => {
    log.error({ kind, err: error }, "uncaught error");
    metrics.strayErrors.inc({ kind });
  });
}
