import { closingCatalogue } from "../../src/protocol/closings.ts";
import { errorCatalogue, isTemporary } from "../../src/protocol/errors.ts";
import { createEventLoopDelay } from "../../src/runtime/event-loop-delay.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { code, table } from "./table.ts";

const yesOrNo = (value: boolean): string => (value ? "yes" : "no");

export const errorTable = (): string =>
  table(
    ["code", "HTTP", "temporary", "meaning", "what to do"],
    Object.entries(errorCatalogue).map(([name, { status, message, advice }]) => [
      code(name),
      String(status),
      yesOrNo(isTemporary(name)),
      message,
      advice,
    ]),
  );

export const closingTable = (): string =>
  table(
    ["code", "reconnect", "message"],
    Object.entries(closingCatalogue).map(([name, { message, reconnect }]) => [code(name), yesOrNo(reconnect), message]),
  );

/** The gateway's own; those of the process are prom-client's. */
export function metricTable(): string {
  const metrics = createMetrics({ nodeId: "reference" });
  createEventLoopDelay(metrics);
  const rows = metrics.registry
    .getMetricsAsArray()
    .filter(({ name }) => name.startsWith("gateway_"))
    .map((metric) => [code(metric.name), typeOf(metric), labelsOf(metric), metric.help]);
  return table(["metric", "type", "labels", "meaning"], rows);
}

const typeOf = (metric: object): string => metric.constructor.name.toLowerCase();

/** prom-client keeps the labels of a metric, but does not declare them. */
const labelsOf = (metric: object): string =>
  ((Object(metric) as { labelNames?: readonly string[] }).labelNames ?? []).map(code).join(", ");
