import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { RefusalDeps } from "../commands/refusal.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { PortSetting } from "../runtime/listen-error.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics, MetricsText } from "../runtime/metrics.ts";
import { screen, takePaths } from "../runtime/server-paths.ts";
import { createAuthenticate, type ApiKey } from "./api-keys.ts";
import { createBrokenRequestAnswer, createHeaderChecks } from "./broken-request.ts";
import { createClientAddress, type ClientAddress } from "../runtime/client-address.ts";
import type { Demo } from "./demo.ts";
import { close, listen, portOf } from "./listening.ts";
import type { Contract } from "../protocol/contract/contract.ts";
import { describeEvents } from "./asyncapi.ts";
import { describeApi } from "./openapi.ts";
import { boundIdleConnections, maxIdlePerAddress } from "./idle-connections.ts";
import { apiPrefix, type BackendApiDeps } from "./backend-api.ts";
import { createExpressApp } from "./express-app.ts";
import type { LimitHttp } from "./rate-limit.ts";
import type { Readiness } from "./readiness.ts";
import type { Route } from "./route.ts";

export interface HttpServerDeps {
  /** All calls of the backends' API. */
  routes: readonly Route[];
  apiKeys: readonly ApiKey[];
  /** Counts a request of an API key. Absent: no limit. */
  limit?: LimitHttp | undefined;
  /** Described with the events. Omit if there is none. */
  contract?: Contract | undefined;
  readiness: Readiness;
  /** The demo's page, and its sign-in outside production. */
  demo?: Demo | undefined;
  metrics: Metrics;
  /** Omit to count refusals only. */
  reasons?: RefusalDeps["reasons"];
  onAct?: BackendApiDeps["onAct"];
  spans?: BackendApiDeps["spans"];
  authenticateOperator?: BackendApiDeps["authenticateOperator"];
  /** Folder of the built operator console. Omit not to serve it. */
  console?: string | undefined;
  /** Say at the console's path that it is off. @default false */
  isConsoleOff?: boolean;
  /** @default the peer's address, ignoring proxies */
  clientAddress?: ClientAddress | undefined;
  /** Answers `/metrics`. @default the metrics of this node */
  metricsText?: MetricsText | undefined;
  clock: Clock;
  log: Logger;
}

export interface HttpServerOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** @default "PORT" */
  setting?: PortSetting;
  /**
   * A server of an application to attach to: only paths of the API are handled, and whoever created it listens and
   * closes. @default a server of its own
   */
  server?: Server | undefined;
  /** Whether other processes of ours listen there too. @default false */
  isShared?: boolean;
  /** Serves `/metrics` here; false if the metrics have a port of their own. @default true */
  hasMetrics?: boolean;
  /** Addresses and networks of proxies, through which many clients come. @default none */
  trustedProxies?: readonly string[];
  /** Max connections without a request per address. @default 1024 */
  idleConnectionsPerAddress?: number;
  /** Milliseconds a client has for a whole request, body included. @default 10000 */
  requestTimeoutMs?: number;
  /** Of the program, for the API's description. */
  version: string;
}

/** The public port. */
export interface HttpServer extends Service {
  /** What the socket server attaches to. */
  readonly server: Server;
  /** The port it listens on; 0 before `start`. */
  readonly port: number;
  /** Overrides the address of the options; call before `start`. */
  listenOn(address: { port: number; host?: string | undefined }): void;
  start(): Promise<void>;
  stop(deadline: AbortSignal): Promise<void>;
}

export function createHttpServer(deps: HttpServerDeps, options: HttpServerOptions): HttpServer {
  return options.server === undefined ? createOwnServer(deps, options) : attachTo(options.server, deps, options);
}

/** Handles the paths of the API on a server that belongs to somebody else, in front of its own listeners. */
function attachTo(server: Server, deps: HttpServerDeps, options: HttpServerOptions): HttpServer {
  const serve = listenerOf(deps, options);
  const { accepts } = createHeaderChecks(deps);
  const request: RequestListener = (...exchange) => accepts(...exchange) && serve(...exchange);
  let giveBack: (() => void) | undefined;
  return {
    name: "http server",
    server,
    get port() {
      return portOf(server);
    },
    listenOn: () => undefined,
    async start() {
      giveBack = takePaths(server, apiPrefix, { request });
    },
    async stop() {
      giveBack?.();
    },
  };
}

function createOwnServer(deps: HttpServerDeps, options: HttpServerOptions): HttpServer {
  let { host, port } = options;
  const patience = timeoutsWith(options.requestTimeoutMs ?? 10_000);
  const server: Server = createServer(
    { ...patience, ...parserOptions, shouldUpgradeCallback: (request) => isWebSocket(request, server) },
    listenerOf(deps, options),
  );
  server.on("clientError", createBrokenRequestAnswer(deps));
  const { accepts, refuseExpectation } = createHeaderChecks(deps);
  server.on("checkExpectation", refuseExpectation);
  return {
    name: "http server",
    server,
    get port() {
      return portOf(server);
    },
    start() {
      const { idleConnectionsPerAddress: maxPerAddress = maxIdlePerAddress, trustedProxies = [], isShared } = options;
      screen(server, accepts);
      boundIdleConnections(server, { maxPerAddress, trustedProxies }, deps.clock);
      return listen(server, { host, port, isShared, setting: options.setting });
    },
    listenOn(address) {
      ({ port, host = host } = address);
    },
    stop: (deadline) => close(server, deps.clock, deadline),
  };
}

/**
 * Timeouts of clients. The keep-alive timeout is longer than the 60 s of nginx, so that nginx closes idle connections
 * and never sends a request into a closing one.
 */
function timeoutsWith(requestTimeoutMs: number) {
  return {
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: 65_000,
    connectionsCheckingInterval: requestTimeoutMs / 10,
  };
}

/** Node's defaults, named because much rests on them; a missing host is refused with a body instead. */
const parserOptions = { maxHeaderSize: 16_384, requireHostHeader: false, insecureHTTPParser: false } as const;

/** Other upgrades, such as h2c, are ignored, as the RFC allows: the request is handled as HTTP/1.1. */
function isWebSocket(request: IncomingMessage, server: Server): boolean {
  return request.headers.upgrade?.toLowerCase() === "websocket" && server.listenerCount("upgrade") > 0;
}

function listenerOf(deps: HttpServerDeps, options: HttpServerOptions): RequestListener {
  const {
    routes,
    limit,
    readiness,
    demo,
    metrics,
    reasons,
    onAct,
    spans,
    authenticateOperator,
    console: consoleFolder,
    isConsoleOff,
    clock,
    log,
    clientAddress = createClientAddress([]),
  } = deps;
  return createExpressApp({
    routes,
    authenticate: createAuthenticate(deps.apiKeys),
    limit,
    clientAddress,
    readiness,
    registry: options.hasMetrics === false ? undefined : (deps.metricsText ?? metrics.registry),
    openapi: () => describeApi(routes, options.version),
    asyncapi: () => describeEvents(deps.contract, options.version),
    demo,
    metrics,
    reasons,
    onAct,
    spans,
    authenticateOperator,
    console: consoleFolder,
    isConsoleOff,
    clock,
    log,
  });
}
