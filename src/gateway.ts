import { fileURLToPath } from "node:url";
import { createExpiryWatch } from "./auth/expiry-watch.ts";
import { createCache } from "./cache/cache.ts";
import { createChannelLog } from "./channels/channel-log.ts";
import { Channels, type TakeSnapshot } from "./channels/channels.ts";
import { createConnectionRecordStore } from "./channels/connection-record-store.ts";
import { createFeed } from "./channels/feed.ts";
import { createKinds } from "./channels/kinds.ts";
import { createPermissions } from "./channels/permissions.ts";
import { createControlStore } from "./cluster/control-store.ts";
import { Control } from "./cluster/control.ts";
import type { Config } from "./config.ts";
import { createDoors, createOrders } from "./gateway/backends.ts";
import { createChecks } from "./gateway/checks.ts";
import { createDemoLogin, createEntry } from "./gateway/entry.ts";
import { createNodePresence } from "./gateway/presence.ts";
import { openStore } from "./gateway/store.ts";
import { createWebhooks, toldOf } from "./gateway/webhooks.ts";
import { withCachedPages } from "./gateway/cached-boards.ts";
import { createLeaderboards } from "./leaderboards/leaderboards.ts";
import type { Presence } from "./presence/presence.ts";
import { closing } from "./protocol/closings.ts";
import { systemClock, type Clock } from "./runtime/clock.ts";
import { createEventLoopDelay } from "./runtime/event-loop-delay.ts";
import { createLifecycle } from "./runtime/lifecycle.ts";
import type { Logger } from "./runtime/logger.ts";
import { createMetrics, type Metrics } from "./runtime/metrics.ts";
import { version } from "./runtime/version.ts";
import { createClientAddress } from "./server/client-address.ts";
import { sendElsewhere } from "./server/drain.ts";
import { createRecovery, type Recovery } from "./server/recovery.ts";
import { createFanOut } from "./server/fan-out.ts";
import { createAuthHandlers } from "./server/handlers/auth.ts";
import { createChannelHandlers } from "./server/handlers/channels.ts";
import { createLeaderboardHandlers } from "./server/handlers/leaderboards.ts";
import { createOrderHandlers } from "./server/handlers/orders.ts";
import { createPresenceHandlers } from "./server/handlers/presence.ts";
import { createSessionHandlers } from "./server/handlers/sessions.ts";
import { createHttpServer } from "./server/http/http-server.ts";
import { createMetricsServer } from "./server/http/metrics-server.ts";
import { createReadiness } from "./server/http/readiness.ts";
import { createNodeRevocations, createRevocations } from "./server/revocations.ts";
import { createChannelRoutes } from "./server/routes/channels.ts";
import { idempotent } from "./server/routes/idempotent.ts";
import { createOrderRoutes } from "./server/routes/orders.ts";
import { createLeaderboardRoutes } from "./server/routes/leaderboards.ts";
import { createPresenceRoutes } from "./server/routes/presence.ts";
import { createPublishRoutes } from "./server/routes/publish.ts";
import { createSessionRoutes } from "./server/routes/sessions.ts";
import { createTokenRoutes } from "./server/routes/tokens.ts";
import { Failures } from "./server/socket/failures.ts";
import { createRoomAdapter } from "./server/socket/room-adapter.ts";
import { createSocketServer, type SocketServer } from "./server/socket/socket-server.ts";
import { createVisits } from "./server/visits.ts";
import { createThrottling } from "./throttling/throttling.ts";

/** One node, built and not yet started. */
export interface Gateway {
  start(): Promise<void>;
  /** Sends everybody elsewhere and stops; every caller gets the same promise. True where it met the deadline. */
  drain(): Promise<boolean>;
  /** Where it listens, once started. */
  readonly url: string;
  /** Which store it uses, in words. */
  readonly store: string;
  readonly metrics: Metrics;
}

export interface GatewayOptions {
  log: Logger;
  /** @default the system's */
  clock?: Clock;
}

const demoFolder = fileURLToPath(new URL("../client-demo/dist/", import.meta.url));

/** Builds a node from its settings, each thing after what it needs. Nothing else knows how the rooms fit together. */
export async function createGateway(config: Config, { log, clock = systemClock }: GatewayOptions): Promise<Gateway> {
  const { nodeId, limits } = config;
  const metrics = createMetrics({ nodeId });
  const lifecycle = createLifecycle({ clock, log });
  let isDraining = false;

  const store = await openStore(config, { clock, log, metrics, lifecycle });
  const { commands, keys, feed, isCluster } = store;

  // What all nodes follow
  const nodeRevocations = createNodeRevocations({ connections: () => sockets.connections, clock });
  const control = new Control({
    store: createControlStore({ commands, keys }),
    clock,
    log,
    nodeId,
    onGrown: (pull) => feed.follow(keys.controlFeed(), pull),
    perform: (command) => nodeRevocations.perform(command) + recovery.perform(command),
    onDead: async (node) => {
      log.warn({ node }, "a node died");
      await presence.onDead(node);
      await webhooks?.nodeDied(node);
    },
    onForgotten: () => {
      log.error({}, "away for longer than control commands are kept: everybody has to come in again");
      for (const connection of sockets.connections.all()) connection.close(closing("drain"));
    },
  });
  const revocations = createRevocations(control);
  const webhooks = await createWebhooks(config, { store, control, metrics, clock, log });

  // Who may come in, and how much they may do
  const entry = createEntry(config, store, revocations, clock);
  const expiry = createExpiryWatch({ clock, log });
  // What a client was told is counted where it is told; here, what a limiter decided.
  const refused = (limiter: string, reason: string): void => metrics.limited.inc({ limiter, reason });
  const throttling = createThrottling({ commands, keys, clock, log, metrics: { refused } }, limits);

  // What flows
  const kinds = createKinds(config.channels);
  const snapshots = new Map<string, TakeSnapshot>();
  const { orders, deadLetters } = createOrders(config, {
    store,
    kinds,
    tellStatus: webhooks && ((news) => webhooks.orderStatus(news)),
    clock,
    log,
  });
  const permissions = createPermissions({ kinds, mayReadOrder: (orderId, userId) => orders.mayRead(orderId, userId) });
  const channels: Channels = new Channels(
    {
      kinds,
      permissions,
      log: createChannelLog(store, { idempotencyTtlSeconds: config.idempotency.ttlSeconds }),
      feed: createFeed({ feed, keys, log, onRead: () => metrics.feedMessages.inc() }),
      deliver: createFanOut({ metrics }),
      records: {
        keep: (subscriber, channel, begun) => recovery.records.keep(subscriber, channel, begun),
        drop: (subscriber, channel) => recovery.records.drop(subscriber, channel),
      },
      tellUnsubscribed: (subscriber, channel, error) => visits.tellUnsubscribed(subscriber, channel, error),
      settled: (channel) => presence.members.settled(channel),
      snapshots,
      mayDeliver: () => control.fence.isOpen,
      clock,
      logger: log,
      onGap: (outcome) => metrics.gaps.inc({ outcome }),
      onConflated: (count) => metrics.skipped.inc({ reason: "conflated" }, count),
      onWatched: (count) => metrics.channelsWatched.set(count),
    },
    limits,
  );
  control.fence.onReopened(() => channels.repair());
  const presence: Presence = createNodePresence(config, {
    store,
    kinds,
    permissions,
    channels: () => channels,
    control,
    clock,
    log,
  });
  channels.onSubscription((change) => presence.onSubscription(change));
  const recoveryOptions = { windowSeconds: config.recovery.windowSeconds, renewEverySeconds: 60, isCluster };
  const recovery: Recovery = createRecovery(
    {
      store: createConnectionRecordStore(store, recoveryOptions),
      channels: () => channels,
      control: () => control,
      clock,
      log,
    },
    recoveryOptions,
  );
  const leaderboards = createLeaderboards(
    { commands, isCluster, feed, keys, kinds, clock, log },
    { boards: config.leaderboards },
  );
  const cache = createCache({ commands, keys, feed, metrics, clock, log });
  const boards = withCachedPages(leaderboards, cache, config.leaderboards);
  snapshots.set("leaderboard", leaderboards.boardSnapshot).set("rank", leaderboards.rankSnapshot);
  snapshots.set("order", orders.takeOrderSnapshot).set("orders", orders.takeOpenOrdersSnapshot);
  channels.onSubscription((change) => leaderboards.onSubscription(change));
  channels.onSubscription(({ channel, isSubscribed }) => webhooks?.subscription({ channel }, isSubscribed));
  const doors = createDoors(config, {
    ...entry,
    store,
    kinds,
    channels,
    orders,
    deadLetters,
    leaderboards,
    revocations,
    metrics,
    clock,
    log,
  });

  // The network edge
  const connectionsOf = presence.seats.connectionsOf.bind(presence.seats);
  const visits = createVisits({
    authenticator: entry.authenticator,
    channels,
    expiry,
    revocations: nodeRevocations,
    throttling,
    recovery,
    seats: presence.seats,
    fence: control.fence,
    clock,
    isDraining: () => isDraining,
  });
  const readiness = createReadiness({
    checks: createChecks(store, control.fence, () => isDraining),
    clock,
  });
  const http = createHttpServer(
    {
      routes: [
        ...createPublishRoutes({ channels, metrics }, limits),
        ...createChannelRoutes({ history: channels.history.bind(channels), list: presence.list }),
        ...createPresenceRoutes({ presence }),
        ...createOrderRoutes({ publisher: doors.publisher, orders }),
        ...[
          ...createSessionRoutes({ ...entry, connectionsOf }),
          ...createTokenRoutes({ ...entry, revocations }),
          ...createLeaderboardRoutes({ leaderboards: boards }),
        ].map((route) => idempotent(route, doors.once)),
      ],
      apiKeys: config.apiKeys,
      limit: async (apiKey) => {
        const decision = await throttling.http(apiKey);
        return {
          ...decision,
          limit: limits.http.requests,
          windowSeconds: limits.http.windowSeconds,
          resetMs: decision.resetAt - clock.now(),
        };
      },
      readiness,
      demo: { directory: demoFolder, login: createDemoLogin(config, entry) },
      metrics,
      clock,
      log,
    },
    { ...config, hasMetrics: config.metrics === undefined, version },
  );
  const adapter = createRoomAdapter({
    publisher: store.redis.connection("control-publisher"),
    subscriber: store.redis.connection("control-subscriber"),
    failures: new Failures({ clock, log, metrics }),
  });
  const sockets: SocketServer = createSocketServer(
    {
      ...visits,
      adapter,
      httpServer: http.server,
      recovery,
      handlers: [
        ...createChannelHandlers({ channels, onPublished: () => metrics.publications.inc({ door: "client" }) }),
        ...createAuthHandlers(visits),
        ...createSessionHandlers({ ...entry, connectionsOf }),
        ...createLeaderboardHandlers({ leaderboards: boards }),
        ...createOrderHandlers({ orders }),
        ...createPresenceHandlers({ presence }),
      ],
      clientAddress: createClientAddress(config.trustedProxies),
      ...toldOf(visits, webhooks),
      metrics,
      clock,
      log,
    },
    { ...limits, nodeId, allowedOrigins: config.allowedOrigins, maxStrangers: limits.unauthenticatedConnections },
  );

  lifecycle.add(createEventLoopDelay(metrics));
  lifecycle.add({ name: "cluster", start: () => control.start(), stop: () => control.stop() });
  lifecycle.add(presence);
  if (webhooks !== undefined) lifecycle.add(webhooks);
  lifecycle.add({ name: "recovery", start: () => recovery.start(), stop: () => recovery.stop() });
  lifecycle.add({ name: "channels", start: () => channels.start(), stop: () => channels.stop() });
  lifecycle.add(throttling);
  lifecycle.add(cache);
  lifecycle.add(leaderboards);
  lifecycle.add(orders);
  lifecycle.add(doors);
  lifecycle.add({ name: "expiry", stop: () => expiry.stop() });
  if (config.metrics !== undefined)
    lifecycle.add(createMetricsServer({ registry: metrics.registry, clock, log }, config.metrics));
  lifecycle.add({ name: "socket server", start: () => sockets.start(), stop: () => sockets.close() });
  lifecycle.add(http);
  lifecycle.add({
    name: "clients",
    stop: (deadline) =>
      sendElsewhere({ connections: () => sockets.connections.all(), clock }, config.drainTimeoutMs, deadline),
  });

  return {
    metrics,
    store: store.description,
    get url() {
      return `http://${config.host === "0.0.0.0" || config.host === "::" ? "localhost" : config.host}:${http.port}`;
    },
    start: () => lifecycle.start(),
    drain() {
      isDraining = true;
      return lifecycle.stop(config.drainTimeoutMs);
    },
  };
}
