import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import helmet from "helmet";
import { GatewayError } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { MetricsText } from "../runtime/metrics.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import { mountDemo, type Demo } from "./demo.ts";
import { mountDocs } from "./docs-page.ts";
import { onlyGet } from "./only-methods.ts";
import { sendJson, sendProblem } from "./problem.ts";
import type { Readiness } from "./readiness.ts";
import { recordRefusal, refusalOf, type RefusalDeps } from "../commands/refusal.ts";
import { discardRest } from "../runtime/discard-rest.ts";
import type { WatchRequest } from "./request-watch.ts";

export interface PagesDeps {
  readiness: Readiness;
  /** Absent: no metrics here, because they have a port of their own. */
  registry?: MetricsText | undefined;
  /** The API's description, as JSON. */
  openapi: string;
  demo?: Demo | undefined;
  clientAddress: ClientAddress;
  watch: WatchRequest;
  metrics: Pick<Metrics, "refusals">;
  /** Omit to count refusals only. */
  reasons?: RefusalDeps["reasons"];
  log: Logger;
}

/** Everything that is not the backends' API: health, metrics, documentation, the demo. */
export function createPages(deps: PagesDeps): Express {
  const app = express();
  app.disable("x-powered-by").set("case sensitive routing", true);
  app.use(watched(deps.watch), helmet(protection));
  mountHealth(app, deps.readiness);
  if (deps.registry !== undefined) mountMetrics(app, deps.registry);
  mountDocs(app, deps.openapi);
  if (deps.demo !== undefined) mountDemo(app, deps.demo, deps.clientAddress);
  onlyGet(app, "/", (_request, response) => response.redirect(deps.demo?.login === undefined ? "/docs" : "/demo/"));
  app.use((_request, _response, next) => next(new GatewayError("not_found", "This path does not exist.")));
  app.use(answerError(deps));
  return app;
}

/**
 * Pages load nothing from elsewhere and run no inline scripts. `connect-src` names the WebSocket schemes because some
 * browsers do not count them to 'self'. No upgrade to HTTPS and no HSTS: whether there is TLS is for the proxy in
 * front to know, and the demo must work without.
 */
const protection = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      "default-src": ["'self'"],
      "connect-src": ["'self'", "ws:", "wss:"],
      "img-src": ["'self'", "data:"],
      "style-src": ["'self'"],
      "object-src": ["'none'"],
      "base-uri": ["'none'"],
      "form-action": ["'self'"],
      "frame-ancestors": ["'none'"],
    },
  },
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
} as const;

function mountHealth(app: Express, readiness: Readiness): void {
  onlyGet(app, "/healthz", (_request, response) => sendJson(response, 200, { status: "ok" }));
  onlyGet(app, "/readyz", async (_request, response) => {
    const report = await readiness();
    if (report.status === "unavailable") sendJson(response, 503, report, { "Retry-After": "1" });
    else sendJson(response, 200, report);
  });
}

/** Only at this exact path and not at `/metrics/`, so that a proxy's rule for it cannot be bypassed. */
function mountMetrics(app: Express, registry: MetricsText): void {
  const exact = express.Router({ caseSensitive: true, strict: true });
  onlyGet(exact, "/metrics", async (_request, response) => {
    response.type(registry.contentType).send(await registry.metrics());
  });
  app.use(exact);
}

/** The label is the path of Express' route or of the static folder, never the requested URL. */
function watched(watch: WatchRequest): RequestHandler {
  return (request, response, next) => {
    const record = watch(request, response, undefined);
    response.setHeader("X-Request-Id", record.requestId);
    response.prependOnceListener("close", () => {
      const route = (request.route as { path: string } | undefined)?.path ?? request.baseUrl;
      if (route !== "") record.route = route;
    });
    next();
  };
}

function answerError(deps: PagesDeps): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const refusal = isMalformed(error)
      ? new GatewayError("bad_request", "The request is malformed.")
      : refusalOf(error);
    recordRefusal(deps, refusal, { kind: "page", address: deps.clientAddress(request) });
    if (refusal.code === "internal") deps.log.error({ err: refusal.cause }, "serving a page failed");
    sendProblem(response, refusal, {}, discardRest(request));
  };
}

/** Express' own errors, such as invalid percent-encoding, have a status. */
function isMalformed(error: unknown): boolean {
  return error instanceof Error && "status" in error && error.status === 400;
}
