import express, { type ErrorRequestHandler, type Express, type Request } from "express";
import helmet from "helmet";
import { GatewayError } from "../protocol/errors.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Metrics, MetricsText } from "../runtime/metrics.ts";
import { apiPrefix, mountApi, undecodableParameter, type BackendApiDeps } from "./backend-api.ts";
import { mountDemo, mountPage, type Demo } from "./demo.ts";
import { mountDocs, type Descriptions } from "./docs-page.ts";
import { mountGuides } from "./guides.ts";
import { onlyGet } from "./only-methods.ts";
import { sendJson, sendProblem } from "./problem.ts";
import type { Readiness } from "./readiness.ts";
import { recordRefusal, refusalOf, type RefusalDeps } from "../commands/refusal.ts";
import { discardRest } from "../runtime/discard-rest.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { targetOf } from "./request-target.ts";
import { createRequestWatch, recordOf } from "./request-watch.ts";
import type { Route } from "./route.ts";

export interface ExpressAppDeps extends BackendApiDeps, Descriptions {
  readiness: Readiness;
  /** Omit if the metrics have a port of their own. */
  registry?: MetricsText | undefined;
  demo?: Demo | undefined;
  /** Folder of the built operator console. Omit not to serve it. */
  console?: string | undefined;
  /** Say at the console's path that it is off. @default false */
  isConsoleOff?: boolean | undefined;
  metrics: Metrics;
  /** Omit to count refusals only. */
  reasons?: RefusalDeps["reasons"];
  clock: Clock;
  log: Logger;
}

/** Everything served over HTTP: the backend API, health, metrics, documentation and the demo. */
export function createExpressApp(deps: ExpressAppDeps): Express {
  const { metrics, clock, log } = deps;
  const app = express();
  app.disable("x-powered-by").set("case sensitive routing", true);
  app.use(createRequestWatch({ metrics, clock, log }));
  mountApi(app, deps);
  app.use(helmet(protection));
  mountHealth(app, deps.readiness);
  if (deps.registry !== undefined) mountMetrics(app, deps.registry);
  mountDocs(app, deps);
  mountGuides(app);
  if (deps.console !== undefined) mountPage(app, "/console", deps.console);
  if (deps.isConsoleOff === true) app.use("/console", (_request, _response, next) => next(consoleOff()));
  if (deps.demo !== undefined) mountDemo(app, deps.demo, deps.clientAddress);
  onlyGet(app, "/", (_request, response) => response.redirect(deps.demo?.login === undefined ? "/docs" : "/demo/"));
  app.use((_request, _response, next) => next(new GatewayError("not_found", "This path does not exist.")));
  app.use(answerError(deps));
  return app;
}

const consoleOff = (): GatewayError =>
  new GatewayError("not_found", "The console is off. Set OPERATORS to name:secret:role to turn it on.");

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

function answerError(deps: ExpressAppDeps): ErrorRequestHandler {
  const { routes, clientAddress, log } = deps;
  const warn = createPacedWarnings(log);
  return (error: unknown, request, response, _next) => {
    const refusal = isMalformed(error) ? malformed(routes, request) : refusalOf(error);
    const record = recordOf(response);
    record.code = refusal.code;
    const { caller, route: operation, requestId } = record;
    const address = clientAddress(request);
    const kind = request.path.startsWith(apiPrefix) ? "http" : "page";
    recordRefusal(deps, refusal, { kind, caller, address, operation, requestId });
    const whom = refusal.reason?.rule === "operator" ? "refused an operator" : "refused an API key";
    if (refusal.code === "unauthorized") warn({ address, requestId }, whom);
    if (refusal.code === "internal") log.error({ err: refusal.cause, route: record.route }, "HTTP request failed");
    sendProblem(response, refusal, {}, discardRest(request));
  };
}

/** Express' own errors, such as invalid percent-encoding, have a status. */
function isMalformed(error: unknown): boolean {
  return error instanceof Error && "status" in error && error.status === 400 && !(error instanceof GatewayError);
}

const malformed = (routes: readonly Route[], request: Request): GatewayError =>
  undecodableParameter(routes, targetOf(request.originalUrl).pathname) ??
  new GatewayError("bad_request", "The request is malformed.");
