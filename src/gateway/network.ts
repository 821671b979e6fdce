import { fileURLToPath } from "node:url";
import type { ExpiryWatch } from "../auth/expiry-watch.ts";
import type { Revocations } from "../auth/revocations.ts";
import type { Config } from "../config.ts";
import type { CommandIngress } from "../commands/command-ingress.ts";
import { version } from "../runtime/version.ts";
import type { ClientHandler } from "../connections/client-handler.ts";
import { createClientAddress, type ClientAddress } from "../runtime/client-address.ts";
import { createAuthHandlers } from "../connections/handlers/auth.ts";
import { createChannelHandlers } from "../connections/handlers/channels.ts";
import { createLeaderboardHandlers } from "../connections/handlers/leaderboards.ts";
import { createOrderHandlers } from "../connections/handlers/orders.ts";
import { createPresenceHandlers } from "../connections/handlers/presence.ts";
import { createSessionHandlers } from "../connections/handlers/sessions.ts";
import { createHttpServer, type HttpServer } from "../http/http-server.ts";
import { createReadiness } from "../http/readiness.ts";
import type { NodeRevocations } from "../connections/revocations.ts";
import type { Route } from "../http/route.ts";
import { createChannelRoutes } from "../http/routes/channels.ts";
import { idempotent } from "../http/routes/idempotent.ts";
import { createLeaderboardRoutes } from "../http/routes/leaderboards.ts";
import { createOrderRoutes } from "../http/routes/orders.ts";
import { createPresenceRoutes } from "../http/routes/presence.ts";
import { createPublishRoutes } from "../http/routes/publish.ts";
import { createSessionRoutes } from "../http/routes/sessions.ts";
import { createTokenRoutes } from "../http/routes/tokens.ts";
import { loadAccelerator } from "../engine/accelerator.ts";
import { ErrorReporter } from "../connections/error-reporter.ts";
import { createRoomAdapter } from "../connections/room-adapter.ts";
import { createSocketServer, type SocketServer } from "../connections/socket-server.ts";
import { createSiblings, type Siblings } from "../engine/siblings/siblings.ts";
import { createConnectionHooks, type ConnectionHooks } from "../connections/connection-hooks.ts";
import type { Throttling } from "../throttling/throttling.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import { createChecks } from "./checks.ts";
import { createDemoLogin } from "./demo-login.ts";
import type { Authentication } from "./authentication.ts";
import type { CoreServices, NodeContext } from "./core-services.ts";
import { createHttpLimit } from "./http-limit.ts";
import type { WorkerContext } from "./worker-context.ts";
import { withWebhooks } from "./webhooks.ts";

/** Everything that clients and backends reach over the network. */
export interface NetworkParts {
  authentication: Authentication;
  expiry: ExpiryWatch;
  throttling: Throttling;
  revocations: Revocations;
  nodeRevocations: NodeRevocations;
  services: CoreServices;
  ingress: CommandIngress;
  webhooks: Webhooks | undefined;
  worker: WorkerContext | undefined;
  isDraining: () => boolean;
}

/** The servers of a node. */
export interface Network {
  http: HttpServer;
  sockets: SocketServer;
  hooks: ConnectionHooks;
  /** Set if the node shares its port with other workers. */
  siblings: Siblings | undefined;
}

const demoFolder = fileURLToPath(new URL("../../client-demo/dist/", import.meta.url));

export function createNetwork(context: NodeContext, parts: NetworkParts): Network {
  const hooks = createConnectionHooks({
    ...context,
    ...parts.authentication,
    ...parts.services,
    expiry: parts.expiry,
    revocations: parts.nodeRevocations,
    throttling: parts.throttling,
    quota: parts.services.presence.connectionQuota,
    fence: context.control.fence,
    isDraining: parts.isDraining,
    isReady: () => context.store.check.isGood && parts.authentication.tokens.hasKeys(),
  });
  const clientAddress = createClientAddress(context.config.trustedProxies, context.log);
  const http = createHttp(context, parts, clientAddress);
  const siblings = parts.worker && createSiblings(parts.worker);
  return {
    hooks,
    http,
    siblings,
    sockets: createSockets(context, parts, { hooks, http, siblings, clientAddress }),
  };
}

function createHttp(context: NodeContext, parts: NetworkParts, clientAddress: ClientAddress): HttpServer {
  const { config, store, control, clock } = context;
  const checks = createChecks(store, control.fence, parts);
  const login = createDemoLogin(config, parts);
  return createHttpServer(
    {
      ...context,
      routes: routesOf(parts),
      apiKeys: config.apiKeys,
      limit: createHttpLimit({ ...parts, fence: control.fence, clock }, config.limits.http),
      readiness: createReadiness({ checks, clock }),
      // Without a login the demo page is useless, so it is not served.
      demo: login && { directory: demoFolder, login },
      clientAddress,
      metricsText: parts.worker?.metrics,
    },
    {
      ...config.limits,
      ...config,
      isShared: parts.worker !== undefined,
      hasMetrics: config.metrics === undefined,
      version,
    },
  );
}

function routesOf({ authentication, revocations, services, ingress }: NetworkParts): Route[] {
  const { channels, presence, orders, boards } = services;
  const { executor } = ingress;
  const connectionsOf = presence.connectionQuota.connectionsOf.bind(presence.connectionQuota);
  const routes = [
    ...createPublishRoutes({ executor }),
    ...createChannelRoutes({ history: channels.history.bind(channels), list: presence.list }),
    ...createPresenceRoutes({ presence }),
    ...createOrderRoutes({ executor, orders }),
    ...createLeaderboardRoutes({ executor, leaderboards: boards }),
    ...createSessionRoutes({ ...authentication, connectionsOf }),
    ...createTokenRoutes({ ...authentication, revocations }),
  ];
  return routes.map((route) => idempotent(route, executor));
}

function createSockets(
  context: NodeContext,
  parts: NetworkParts,
  { hooks, http, siblings, clientAddress }: Omit<Network, "sockets"> & { clientAddress: ClientAddress },
): SocketServer {
  const { config, store, control, log } = context;
  const adapter = createRoomAdapter({
    publisher: store.redis.connection("control-publisher"),
    subscriber: store.redis.connection("control-subscriber"),
    fence: control.fence,
    failures: new ErrorReporter(context),
    log,
  });
  return createSocketServer(
    {
      ...context,
      ...hooks,
      ...withWebhooks(hooks, parts.webhooks),
      httpServer: http.server,
      adapter,
      siblings,
      recovery: parts.services.recovery,
      stampOf: parts.services.recovery.stampOf,
      accelerator: loadAccelerator(config.accelerator, { log }),
      handlers: handlersOf(context, parts, hooks),
      clientAddress,
    },
    { ...config.limits, ...config, ...config.heartbeat, ...pendingOf(config.limits) },
  );
}

/** By default one address may hold at most a tenth of the unauthenticated connections. */
function pendingOf({ unauthenticatedConnections: all, unauthenticatedConnectionsPerAddress }: Config["limits"]) {
  return { maxPending: all, maxPendingPerAddress: unauthenticatedConnectionsPerAddress ?? Math.ceil(all / 10) };
}

function handlersOf(
  { metrics }: NodeContext,
  { authentication, services }: NetworkParts,
  hooks: ConnectionHooks,
): ClientHandler[] {
  const { channels, presence, orders, boards } = services;
  const connectionsOf = presence.connectionQuota.connectionsOf.bind(presence.connectionQuota);
  return [
    ...createChannelHandlers({ channels, onPublished: () => metrics.publications.inc({ door: "client" }) }),
    ...createAuthHandlers(hooks),
    ...createSessionHandlers({ ...authentication, connectionsOf }),
    ...createLeaderboardHandlers({ leaderboards: boards }),
    ...createOrderHandlers({ orders }),
    ...createPresenceHandlers({ presence }),
  ];
}
