import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { GatewayError } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { MetricsText } from "../runtime/metrics.ts";
import { close, listen, portOf } from "./listening.ts";
import { sendProblem } from "./problem.ts";
import { refusalOf } from "../commands/refusal.ts";
import { targetOf } from "./request-target.ts";
import { wrongMethod } from "./only-methods.ts";

/** Serves `/metrics` on a separate port, for networks in which the public port must not expose it. */
export interface MetricsServer extends Service {
  readonly port: number;
  start(): Promise<void>;
  stop(deadline: AbortSignal): Promise<void>;
}

export function createMetricsServer(
  { registry, clock, log }: { registry: MetricsText; clock: Clock; log: Logger },
  address: { host: string; port: number },
): MetricsServer {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    answer(registry, request, response).catch((error: unknown) => {
      const refusal = refusalOf(error);
      if (refusal.code === "internal") log.error({ err: refusal.cause }, "serving metrics failed");
      sendProblem(response, refusal);
    });
  });
  return {
    name: "metrics server",
    get port() {
      return portOf(server);
    },
    start: () => listen(server, { ...address, setting: "METRICS_PORT" }),
    stop: (deadline) => close(server, clock, deadline),
  };
}

async function answer(registry: MetricsText, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (targetOf(request.url ?? "").pathname !== "/metrics")
    throw new GatewayError("not_found", "This path does not exist.");
  if (request.method !== "GET" && request.method !== "HEAD") throw wrongMethod(["GET", "HEAD"]);
  const text = await registry.metrics();
  response
    .writeHead(200, { "Content-Type": registry.contentType, "Content-Length": Buffer.byteLength(text) })
    .end(text);
}
