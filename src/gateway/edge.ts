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
import { createLeaderboardRoutes, createScoreRoutes } from "../http/routes/leaderboards.ts";
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
import type { Entry } from "./entry.ts";
import type { Flow, Ground } from "./flow.ts";
import { createHttpLimit } from "./http-limit.ts";
import type { Place } from "./place.ts";
import { toldOf } from "./webhooks.ts";

/** What the edge stands between: the network, and all that a node does. */
export interface EdgeParts {
  entry: Entry;
  expiry: ExpiryWatch;
  throttling: Throttling;
  revocations: Revocations;
  nodeRevocations: NodeRevocations;
  flow: Flow;
  doors: CommandIngress;
  webhooks: Webhooks | undefined;
  place: Place | undefined;
  isDraining: () => boolean;
}

/** The network edge. */
export interface Edge {
  http: HttpServer;
  sockets: SocketServer;
  visits: ConnectionHooks;
  /** Where the node is one of several behind a port. */
  siblings: Siblings | undefined;
}

const demoFolder = fileURLToPath(new URL("../../client-demo/dist/", import.meta.url));

export function createEdge(ground: Ground, parts: EdgeParts): Edge {
  const visits = createConnectionHooks({
    ...ground,
    ...parts.entry,
    ...parts.flow,
    expiry: parts.expiry,
    revocations: parts.nodeRevocations,
    throttling: parts.throttling,
    quota: parts.flow.presence.connectionQuota,
    fence: ground.control.fence,
    isDraining: parts.isDraining,
    isReady: () => ground.store.check.isGood && parts.entry.tokens.hasKeys(),
  });
  const clientAddress = createClientAddress(ground.config.trustedProxies, ground.log);
  const http = createHttp(ground, parts, clientAddress);
  const siblings = parts.place && createSiblings(parts.place);
  return { visits, http, siblings, sockets: createSockets(ground, parts, { visits, http, siblings, clientAddress }) };
}

function createHttp(ground: Ground, parts: EdgeParts, clientAddress: ClientAddress): HttpServer {
  const { config, store, control, clock } = ground;
  const checks = createChecks(store, control.fence, parts);
  const login = createDemoLogin(config, parts);
  return createHttpServer(
    {
      ...ground,
      routes: routesOf(ground, parts),
      apiKeys: config.apiKeys,
      limit: createHttpLimit({ ...parts, fence: control.fence, clock }, config.limits.http),
      readiness: createReadiness({ checks, clock }),
      // A page on which nobody can sign in is of no use to anybody.
      demo: login && { directory: demoFolder, login },
      clientAddress,
      metricsText: parts.place?.metrics,
    },
    {
      ...config.limits,
      ...config,
      isShared: parts.place !== undefined,
      hasMetrics: config.metrics === undefined,
      version,
    },
  );
}

function routesOf({ config, metrics }: Ground, { entry, revocations, flow, doors }: EdgeParts): Route[] {
  const { channels, presence, orders, boards } = flow;
  const connectionsOf = presence.connectionQuota.connectionsOf.bind(presence.connectionQuota);
  const onceByKey = [
    ...createSessionRoutes({ ...entry, connectionsOf }),
    ...createTokenRoutes({ ...entry, revocations }),
    ...createLeaderboardRoutes({ leaderboards: boards }),
  ].map((route) => idempotent(route, doors.once));
  return [
    ...createPublishRoutes({ channels, metrics }, config.limits),
    ...createChannelRoutes({ history: channels.history.bind(channels), list: presence.list }),
    ...createPresenceRoutes({ presence }),
    ...createOrderRoutes({ executor: doors.executor, orders }),
    ...createScoreRoutes({ leaderboards: boards }),
    ...onceByKey,
  ];
}

function createSockets(
  ground: Ground,
  parts: EdgeParts,
  { visits, http, siblings, clientAddress }: Omit<Edge, "sockets"> & { clientAddress: ClientAddress },
): SocketServer {
  const { config, store, control, log } = ground;
  const adapter = createRoomAdapter({
    publisher: store.redis.connection("control-publisher"),
    subscriber: store.redis.connection("control-subscriber"),
    fence: control.fence,
    failures: new ErrorReporter(ground),
    log,
  });
  return createSocketServer(
    {
      ...ground,
      ...visits,
      ...toldOf(visits, parts.webhooks),
      httpServer: http.server,
      adapter,
      siblings,
      recovery: parts.flow.recovery,
      stampOf: parts.flow.recovery.stampOf,
      accelerator: loadAccelerator(config.accelerator, { log }),
      handlers: handlersOf(ground, parts, visits),
      clientAddress,
    },
    { ...config.limits, ...config, ...config.heartbeat, ...pendingOf(config.limits) },
  );
}

/** Without a word on it no address takes more than a tenth of the places. */
function pendingOf({ unauthenticatedConnections: all, unauthenticatedConnectionsPerAddress }: Config["limits"]) {
  return { maxPending: all, maxPendingPerAddress: unauthenticatedConnectionsPerAddress ?? Math.ceil(all / 10) };
}

function handlersOf({ metrics }: Ground, { entry, flow }: EdgeParts, visits: ConnectionHooks): ClientHandler[] {
  const { channels, presence, orders, boards } = flow;
  const connectionsOf = presence.connectionQuota.connectionsOf.bind(presence.connectionQuota);
  return [
    ...createChannelHandlers({ channels, onPublished: () => metrics.publications.inc({ door: "client" }) }),
    ...createAuthHandlers(visits),
    ...createSessionHandlers({ ...entry, connectionsOf }),
    ...createLeaderboardHandlers({ leaderboards: boards }),
    ...createOrderHandlers({ orders }),
    ...createPresenceHandlers({ presence }),
  ];
}
