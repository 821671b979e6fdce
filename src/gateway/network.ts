import { fileURLToPath } from "node:url";
import type { Config } from "../config.ts";
import { version } from "../runtime/version.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import { createClientAddress, type ClientAddress } from "../runtime/client-address.ts";
import { createHttpServer, type HttpServer } from "../http/http-server.ts";
import type { Route } from "../http/route.ts";
import { loadAccelerator } from "../engine/accelerator.ts";
import { ErrorReporter } from "../connections/error-reporter.ts";
import type { ChannelRooms } from "../connections/channel-rooms.ts";
import { RemoteRequests } from "../connections/remote-requests.ts";
import { createRoomAdapter } from "../connections/room-adapter.ts";
import { connectionOf } from "../connections/socket-connection.ts";
import { createSocketServer, type SocketServer } from "../connections/socket-server.ts";
import { createStickyRouting, type StickyRouting } from "../engine/sticky-routing/sticky-routing.ts";
import { createConnectionHooks, type ConnectionHooks } from "../connections/connection-hooks.ts";
import { createDemoLogin } from "./demo-login.ts";
import { appOf, connectTimeoutOf, createAppRoomAdapter, createChannelRooms } from "./app.ts";
import type { CoreServices } from "./core-services.ts";
import type { NodeContext } from "./node-context.ts";
import { createHttpLimit } from "./http-limit.ts";
import { observeEvents, observeRecovery, withAppSpans, withObservedHooks } from "./observers.ts";
import type { NetworkParts } from "./network-parts.ts";
import { createStreams, streamRoutesOf } from "./streams.ts";
import { withWebhooks } from "./webhooks.ts";
import type { Streams } from "../connections/streams/streams.ts";
import { handlersOf, routesOf } from "./operations.ts";

/** The servers of a node. */
export interface Network {
  http: HttpServer;
  /** Where the console has a port of its own. */
  consoleServer: HttpServer | undefined;
  sockets: SocketServer;
  streams: Streams;
  /** The backend API. */
  routes: readonly Route[];
  /** Set if the node shares its port with other workers. */
  stickyRouting: StickyRouting | undefined;
}

const demoFolder = fileURLToPath(new URL("../../client-demo/dist/", import.meta.url));

export function createNetwork(context: NodeContext, parts: NetworkParts): Network {
  const { config, store, control, clock, log } = context;
  const { authentication, services, worker } = parts;
  const app = parts.access.hooks;
  const ownHooks = createConnectionHooks({
    authenticator: authentication.authenticator,
    connectHook: () => (app.has("connect") ? (connection) => app.connect(connection) : undefined),
    tickets: authentication.tickets,
    channels: services.channels,
    expiry: parts.expiry,
    revocations: parts.nodeRevocations,
    rights: parts.nodeRights,
    sessions: authentication.sessions,
    tokens: authentication.tokens,
    throttling: parts.throttling,
    recovery: services.recovery,
    quota: services.presence.connectionQuota,
    state: services.state,
    fence: control.fence,
    clock,
    isDraining: parts.isDraining,
    isReady: () => store.check.isGood && authentication.tokens.hasKeys(),
  });
  const hooks = withObservedHooks(ownHooks, context.traces, context.spans);
  const clientAddress = createClientAddress(config.trustedProxies, log);
  const routes = routesOf(context, parts);
  const http = createHttp(context, parts, { routes, clientAddress, streams: () => streams });
  const stickyRouting = worker && createStickyRouting(worker);
  const sockets = createSockets(context, parts, { hooks, http, stickyRouting, clientAddress });
  const streams: Streams = createStreams(context, parts, { hooks, admission: sockets.admission });
  const consoleServer = createConsoleServer(context, parts, { routes, clientAddress });
  return { http, consoleServer, stickyRouting, sockets, streams, routes };
}

function createHttp(
  context: NodeContext,
  parts: NetworkParts,
  {
    routes,
    clientAddress,
    streams,
  }: { routes: readonly Route[]; clientAddress: ClientAddress; streams: () => Streams },
): HttpServer {
  const { config, control, metrics, reasons, spans, clock, log } = context;
  const { throttling, worker, operator, readiness } = parts;
  const hasConsole = config.operators.length > 0 && config.console.address === undefined;
  const login = createDemoLogin(config, parts);
  const limit = createHttpLimit({ throttling, fence: control.fence, clock }, config.limits.http);
  return createHttpServer(
    {
      routes: [
        ...routes,
        ...streamRoutesOf(context, streams, { limit, clientAddress }),
        ...(hasConsole ? operator.routesWith(routes) : []),
      ],
      ...(hasConsole ? { console: operator.page, authenticateOperator: operator.operators.authenticate } : {}),
      // On a public port beside a console of its own, nothing tells of it.
      isConsoleOff: config.operators.length === 0,
      onAct: operator.note,
      contract: parts.contract,
      apiKeys: config.apiKeys,
      limit,
      readiness,
      // Without a login the demo page is useless, so it is not served.
      demo: login && { directory: demoFolder, login },
      clientAddress,
      metricsText: worker?.metrics,
      metrics,
      reasons,
      spans,
      clock,
      log,
    },
    {
      host: config.host,
      port: config.port,
      server: parts.server,
      trustedProxies: config.trustedProxies,
      idleConnectionsPerAddress: config.limits.idleConnectionsPerAddress,
      isShared: worker !== undefined,
      hasMetrics: config.metrics === undefined,
      version,
    },
  );
}

/** The operator API and the console on a port of their own, so that the public port has neither. */
function createConsoleServer(
  context: NodeContext,
  parts: NetworkParts,
  { routes, clientAddress }: { routes: readonly Route[]; clientAddress: ClientAddress },
): HttpServer | undefined {
  const { config, control, metrics, reasons, clock, log } = context;
  const { throttling, operator, readiness, worker } = parts;
  const { address } = config.console;
  if (config.operators.length === 0 || address === undefined) return undefined;
  return createHttpServer(
    {
      routes: operator.routesWith(routes),
      apiKeys: [],
      authenticateOperator: operator.operators.authenticate,
      console: operator.page,
      onAct: operator.note,
      limit: createHttpLimit({ throttling, fence: control.fence, clock }, config.limits.http),
      readiness,
      clientAddress,
      metrics,
      reasons,
      clock,
      log,
    },
    {
      ...address,
      setting: "CONSOLE_PORT",
      trustedProxies: config.trustedProxies,
      isShared: worker !== undefined,
      hasMetrics: false,
      version,
    },
  );
}

interface SocketParts {
  hooks: ConnectionHooks;
  http: HttpServer;
  stickyRouting: StickyRouting | undefined;
  clientAddress: ClientAddress;
}

function createSockets(
  context: NodeContext,
  parts: NetworkParts,
  { hooks, http, stickyRouting, clientAddress }: SocketParts,
): SocketServer {
  const { config, metrics, reasons, clock, log } = context;
  const { recovery } = parts.services;
  const ownApp = appOf(context, parts);
  const app = ownApp && withAppSpans(ownApp, context.spans);
  const channelRooms = createChannelRooms(context, parts.services);
  const rooms = createAdapter(context, parts.services, channelRooms);
  return createSocketServer(
    {
      httpServer: http.server,
      handlers: handlersOf(context, parts, hooks),
      registry: parts.connections,
      admit: hooks.admit,
      authenticate: hooks.authenticate,
      abandoned: hooks.abandoned,
      throttle: hooks.throttle,
      untilAnswersAllowed: hooks.untilAnswersAllowed,
      observe: observeEvents(context.traces),
      onRecovery: observeRecovery(context.traces),
      ...withWebhooks(hooks, parts.webhooks),
      clientAddress,
      app,
      checks: parts.checks,
      appRooms: app && channelRooms,
      namespaces: app && { names: config.app?.namespaces ?? [], checkToken: hooks.refresh },
      asksApp: parts.services.kinds.asksApp,
      adapter: app ? createAppRoomAdapter(rooms, context, parts) : rooms,
      stickyRouting,
      recovery,
      timestampOf: recovery.timestampOf,
      accelerator: loadAccelerator(config.accelerator, { log }),
      metrics,
      reasons,
      clock,
      log,
    },
    {
      nodeId: config.nodeId,
      allowedOrigins: config.allowedOrigins,
      payloadBytes: config.limits.payloadBytes,
      outboundQueueBytes: config.limits.outboundQueueBytes,
      connectTimeoutMs: connectTimeoutOf(config),
      ...pendingOf(config.limits),
      ...config.heartbeat,
    },
  );
}

function createAdapter(
  { config, store, control, metrics, clock, log }: NodeContext,
  { kinds }: CoreServices,
  channelRooms: ChannelRooms,
) {
  const requests = new RemoteRequests({
    isChannel: (room) => kinds.has(room),
    prepareRooms(socket) {
      const connection = connectionOf(socket);
      if (connection !== undefined) channelRooms.prepare(socket, connection);
    },
    clock,
  });
  const failures = new ErrorReporter({ metrics, clock, log });
  return createRoomAdapter(
    {
      requests,
      publisher: store.redis.connection("control-publisher"),
      subscriber: store.redis.connection("control-subscriber"),
      fence: control.fence,
      failures,
      clock,
      log,
    },
    { cluster: fingerprint(config.keyPrefix).slice(0, 12) },
  );
}

/** By default one address may hold at most a tenth of the unauthenticated connections. */
function pendingOf({ unauthenticatedConnections: all, unauthenticatedConnectionsPerAddress }: Config["limits"]) {
  return { maxPending: all, maxPendingPerAddress: unauthenticatedConnectionsPerAddress ?? Math.ceil(all / 10) };
}
