import type { Server } from "node:http";
import type { Server as SocketIoServer } from "socket.io";
import { createExpiryWatch } from "./auth/expiry-watch.ts";
import { createControlStore } from "./cluster/control-store.ts";
import type { CommandExecutor } from "./commands/command-executor.ts";
import type { AppEvents } from "./connections/dispatch.ts";
import { Control } from "./cluster/control.ts";
import { NodeQueries } from "./cluster/node-queries.ts";
import type { Config } from "./config.ts";
import { clientEvents } from "./config/limits-schema.ts";
import type { AppHooks } from "./app/hooks.ts";
import { askAppOf, createAppAccess } from "./gateway/app.ts";
import { createIngress } from "./gateway/ingress.ts";
import { createChecks } from "./gateway/checks.ts";
import { createNodeContractChecks, withCheckedData } from "./gateway/contract.ts";
import { createNetwork } from "./gateway/network.ts";
import { createNodeOperator } from "./gateway/operator.ts";
import { createAuthentication } from "./gateway/authentication.ts";
import { createCoreServices, type CoreServices } from "./gateway/core-services.ts";
import type { WorkerContext } from "./gateway/worker-context.ts";
import { explainRefusal } from "./gateway/rights.ts";
import { collectStoreMetrics } from "./gateway/store-metrics.ts";
import { createOutbox, loadOutboxDatabase } from "./gateway/outbox.ts";
import { observeReasons } from "./gateway/observers.ts";
import { openStore } from "./gateway/store.ts";
import { createNodeUserData } from "./gateway/user-data.ts";
import { urlOf } from "./gateway/url.ts";
import { createWebhooks } from "./gateway/webhooks.ts";
import { closing } from "./protocol/closings.ts";
import { withoutOutages } from "./redis/outage-log.ts";
import { LiveTraces } from "./operator/live-traces.ts";
import { systemClock, type Clock } from "./runtime/clock.ts";
import { createEventLoopDelay } from "./runtime/event-loop-delay.ts";
import { createLifecycle } from "./runtime/lifecycle.ts";
import type { Logger } from "./runtime/logger.ts";
import { createMetrics, type Metrics } from "./runtime/metrics.ts";
import { createReasonLog } from "./runtime/reason-log.ts";
import { createSpans } from "./runtime/spans.ts";
import { clockStepIn, SyncedClock } from "./runtime/synced-clock.ts";
import { RequestsToClients } from "./connections/client-requests.ts";
import { ConnectionRegistry } from "./connections/connections.ts";
import { drainConnections } from "./connections/drain.ts";
import { createCallRoute, type CallRoute } from "./http/call-route.ts";
import { createMetricsServer } from "./http/metrics-server.ts";
import { createNodeRights, createRightsBroadcast, rightsChangeTypes } from "./connections/node-rights.ts";
import { createReadiness } from "./http/readiness.ts";
import { createNodeRevocations, createRevocations, revocationTypes } from "./connections/revocations.ts";
import type { Contract } from "./protocol/contract/contract.ts";
import type { ThrottlingOptions } from "./throttling/policies.ts";
import { createThrottling } from "./throttling/throttling.ts";

/** A node, created but not started. */
export interface GatewayNode {
  start(): Promise<void>;
  /** Resolves when somebody asks this node to drain: an operator, the app, or who calls `drain`. */
  readonly drainRequested: Promise<void>;
  /**
   * Moves all clients and stops; repeated calls return the same promise. Resolves with false if the deadline was
   * exceeded.
   */
  drain(): Promise<boolean>;
  /** Base URL; available after `start`. */
  readonly url: string;
  /** Description of the Redis in use. */
  readonly store: string;
  readonly metrics: Metrics;
  /** Overrides the configured address; call before `start`. */
  listenOn(address: { port: number; host?: string | undefined }): void;
  /** For an app in this process. */
  readonly io: SocketIoServer;
  readonly hooks: AppHooks;
  readonly executor: CommandExecutor;
  readonly callRoute: CallRoute;
  /** Resolves when it holds a lease: it has noticed how much time has passed, and everything it was told since. */
  caughtUp(): Promise<void>;
  readonly services: CoreServices;
}

export interface NodeOptions {
  log: Logger;
  /** Set if the node shares its port. @default it does not */
  worker?: WorkerContext;
  /** Handles events that are not built in. */
  app?: AppEvents;
  /** Checks what clients, backends and the app send. */
  contract?: Contract | undefined;
  /** A server of an application to attach to. @default a server of its own */
  server?: Server | undefined;
  /** @default the system clock */
  clock?: Clock;
}

/** Creates a node from its settings. Only this module and `gateway/` know how the rooms fit together. */
export async function createNode(
  config: Config,
  { log: fullLog, worker, app, contract, server, clock: ownClock = systemClock }: NodeOptions,
): Promise<GatewayNode> {
  // Expiries use the clock of Redis, on which all nodes agree.
  const clock = new SyncedClock(ownClock);
  const log = withoutOutages(fullLog);
  const { nodeId } = config;
  const metrics = createMetrics({ nodeId });
  const lifecycle = createLifecycle({ clock, log });
  let isDraining = false;
  let heartbeatAt = clock.monotonic();
  const { promise: drainRequested, resolve: requestDrain } = Promise.withResolvers<void>();

  const store = await openStore(config, { worker, clock: ownClock, log, metrics, lifecycle });
  const { commands, keys, feed } = store;
  collectStoreMetrics({ store, metrics, clock, partitions: config.commands.partitions });
  const traces = new LiveTraces(clock);
  const spans = createSpans({ "tidegate.node": nodeId });
  const reasons = createReasonLog({ clock, log, onRecorded: observeReasons(traces) });

  // The control log, which all nodes follow
  const control = new Control({
    store: createControlStore({ commands, keys }),
    clock,
    log,
    nodeId,
    onTime(time, sentAt, receivedAt) {
      heartbeatAt = sentAt;
      const correctionMs = clock.measured(time, sentAt, receivedAt);
      const step = clockStepIn(correctionMs);
      if (step !== undefined) log.warn({ seconds: Math.round(correctionMs / 100) / 10 }, step);
    },
    onAppended: (pull) => feed.subscribe(keys.controlFeed(), pull),
  });
  const connections = new ConnectionRegistry();
  const access = await createAppAccess(config, { spans, metrics, clock, log });
  const { hooks } = access;
  const forgetAnswers = hooks.forget.bind(hooks);
  const nodeRevocations = createNodeRevocations({ connections, forgetAnswers, clock });
  for (const type of revocationTypes) control.on(type, (command) => nodeRevocations.perform(command));
  control.onMissedCommands(() => {
    log.error({}, "node was offline longer than the control log is kept; closing all connections");
    hooks.forget({});
    for (const connection of connections.all()) connection.close(closing("drain"));
  });
  const revocations = createRevocations(control);
  const { membership } = control;
  const queries = new NodeQueries({ commands, feed, keys, clock, log, nodeId, membership });
  const context = { config, store, control, queries, metrics, reasons, traces, spans, clock, log };

  // Authentication and limits
  const authentication = createAuthentication(config, store, {
    revocations,
    broadcast: createRightsBroadcast(control),
    clock,
    log,
  });
  const expiry = createExpiryWatch({ clock, log });
  // Counts decisions of limiters; refusals sent to clients are counted separately.
  const refused = (limiter: string, reason: string): void => metrics.limited.inc({ limiter, reason });
  const throttling = createThrottling({ commands, keys, clock, log, metrics: { refused } }, limitsOf(config));

  // Services, and the interfaces for clients and backends
  const webhooks = createWebhooks(context);
  const services = createCoreServices(context, {
    webhooks,
    throttling,
    askApp: withCheckedData(askAppOf(access), () => checks),
    checkState: (change, at) => (checks === undefined ? change.value : checks.stateValue(change, at)),
  });
  const nodeRights = createNodeRights({
    connections,
    channels: services.channels,
    members: services.presence.members,
    ended: services.recovery.ended,
    forgetAnswers,
    clock,
  });
  for (const type of rightsChangeTypes)
    control.on(type, (command, id) => nodeRights.perform(command, id), {
      beforeReopening: type !== "rights.subscribe",
    });
  const checks = contract && createNodeContractChecks(contract, services.kinds, config.orders);
  const ingress = createIngress(context, {
    services,
    checks,
    logouts: authentication.logouts,
    liveRights: authentication.liveRights,
    revocations,
    clientRequests: new RequestsToClients({ queries, connections, fence: control.fence, clock }),
  });
  const readiness = createReadiness({
    checks: createChecks(store, control.fence, { worker, isDraining: () => isDraining }),
    clock,
  });
  const loopDelay = createEventLoopDelay(metrics);
  const connectOutbox = await loadOutboxDatabase(config);
  const operator = createNodeOperator(context, {
    connectOutbox,
    authentication,
    services,
    connections,
    revocations,
    throttling,
    readiness,
    isDraining: () => isDraining,
    requestDrain,
    executor: ingress.executor,
    schedule: ingress.schedule,
    recentLoopDelay: loopDelay.takeRecent,
    leaseAgeMs: () => clock.monotonic() - heartbeatAt,
  });
  const { connectionsOfUser } = operator;
  const userData = createNodeUserData({ authentication, services, ingress, throttling, connectionsOfUser });
  const outbox = connectOutbox === undefined ? undefined : createOutbox(connectOutbox, context, ingress);
  const network = createNetwork(context, {
    readiness,
    operator,
    authentication,
    expiry,
    throttling,
    revocations,
    nodeRevocations,
    nodeRights,
    connections,
    services,
    ingress,
    userData,
    webhooks,
    worker,
    app,
    contract,
    checks,
    access,
    server,
    isDraining: () => isDraining,
  });
  const { http, consoleServer, sockets, streams, stickyRouting } = network;

  // Started in this order, stopped in reverse
  lifecycle.add(loopDelay);
  lifecycle.add({ name: "app client", stop: () => access.client?.close() });
  lifecycle.add({ name: "node queries", start: () => queries.start(), stop: () => queries.stop() });
  lifecycle.add({ name: "cluster", start: () => control.start(), stop: () => control.stop() });
  const { lifeMs } = services.recovery.ended;
  lifecycle.add({ name: "recent commands", start: () => control.replayRecent(lifeMs, nodeRights.recall) });
  lifecycle.add(services.presence);
  lifecycle.add(services.state);
  if (webhooks !== undefined) lifecycle.add(webhooks);
  lifecycle.add({ name: "recovery", start: () => services.recovery.start(), stop: () => services.recovery.stop() });
  lifecycle.add({ name: "channels", start: () => services.channels.start(), stop: () => services.channels.stop() });
  for (const service of [throttling, services.leaderboards, services.orders, ingress]) lifecycle.add(service);
  if (outbox !== undefined) lifecycle.add(outbox);
  // Before the first client, which would have to wait for the keys.
  lifecycle.add({ name: "keys", start: () => void authentication.tokens.hasKeys() });
  lifecycle.add({ name: "expiry", stop: () => expiry.stop() });
  lifecycle.add(operator);
  if (consoleServer !== undefined) lifecycle.add({ ...consoleServer, name: "console" });
  // With several workers the primary process serves the metrics of all.
  if (config.metrics !== undefined && worker === undefined)
    lifecycle.add(createMetricsServer({ ...metrics, clock, log }, config.metrics));
  if (stickyRouting !== undefined)
    lifecycle.add({
      name: "stickyRouting",
      start: () => stickyRouting.start(http.server),
      stop: () => stickyRouting.stop(),
    });
  lifecycle.add({ name: "streams", start: () => streams.start(), stop: (deadline) => streams.stop(deadline) });
  lifecycle.add({ name: "socket server", start: () => sockets.start(), stop: () => sockets.close() });
  lifecycle.add(http);
  lifecycle.add({
    name: "clients",
    stop: async (end) => {
      moved = await drainConnections({ connections: () => connections.all(), clock }, config.drainTimeoutMs, end);
    },
  });
  let moved = { connections: 0, closed: 0 };

  async function drain(): Promise<boolean> {
    const startedAt = clock.monotonic();
    const isClean = await lifecycle.stop(config.drainTimeoutMs);
    const summary = { ...moved, seconds: Math.round((clock.monotonic() - startedAt) / 100) / 10 };
    if (isClean) log.info(summary, "drained");
    else log.warn(summary, "drain exceeded its deadline");
    return isClean;
  }
  let draining: Promise<boolean> | undefined;

  return {
    drainRequested,
    metrics,
    io: sockets.io,
    hooks,
    executor: ingress.executor,
    callRoute: createCallRoute(network.routes),
    caughtUp: () => control.fence.opened(),
    services,
    listenOn: (address) => http.listenOn(address),
    store: store.description,
    get url() {
      return urlOf(config.host, http.port);
    },
    start: () => lifecycle.start().catch((error: unknown) => explainRefusal(error, config)),
    drain() {
      isDraining = true;
      requestDrain();
      return (draining ??= drain());
    },
  };
}

/** Events of an app take tokens as messages do; what is built in keeps its own costs. */
function limitsOf({ limits, app }: Config): ThrottlingOptions {
  const ofApp = Object.entries(app?.events ?? {}).map(([event, { cost = 1 }]) => [event, cost] as const);
  const builtIn = clientEvents.map((event) => [event, limits.messages.costs[event] ?? 1] as const);
  return { ...limits, messages: { ...limits.messages, costs: Object.fromEntries([...ofApp, ...builtIn]) } };
}
