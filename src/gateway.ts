import { createExpiryWatch } from "./auth/expiry-watch.ts";
import { createControlStore } from "./cluster/control-store.ts";
import { Control } from "./cluster/control.ts";
import type { Config } from "./config.ts";
import { createDoors } from "./gateway/backends.ts";
import { createEdge, type Edge } from "./gateway/edge.ts";
import { createEntry } from "./gateway/entry.ts";
import { createFlow, type Flow } from "./gateway/flow.ts";
import type { Place } from "./gateway/place.ts";
import { explainDenial } from "./gateway/rights.ts";
import { openStore } from "./gateway/store.ts";
import { urlOf } from "./gateway/url.ts";
import { createWebhooks } from "./gateway/webhooks.ts";
import { closing } from "./protocol/closings.ts";
import { withoutOutages } from "./redis/outage-log.ts";
import { systemClock, type Clock } from "./runtime/clock.ts";
import { createEventLoopDelay } from "./runtime/event-loop-delay.ts";
import { createLifecycle } from "./runtime/lifecycle.ts";
import type { Logger } from "./runtime/logger.ts";
import { createMetrics, type Metrics } from "./runtime/metrics.ts";
import { SyncedClock } from "./runtime/synced-clock.ts";
import { drainConnections } from "./connections/drain.ts";
import { createMetricsServer } from "./http/metrics-server.ts";
import { createNodeRevocations, createRevocations } from "./connections/revocations.ts";
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
  /** Among those behind the same port. @default it has the port for itself */
  place?: Place;
  /** @default the system's */
  clock?: Clock;
}

/** Builds a node from its settings, each thing after what it needs. Nothing else knows how the rooms fit together. */
export async function createGateway(
  config: Config,
  { log: fullLog, place, clock: ownClock = systemClock }: GatewayOptions,
): Promise<Gateway> {
  // Tokens, sessions and everything else that has an end go by the store's clock, on which all nodes agree.
  const clock = new SyncedClock(ownClock);
  const log = withoutOutages(fullLog);
  const { nodeId, limits } = config;
  const metrics = createMetrics({ nodeId });
  const lifecycle = createLifecycle({ clock, log });
  let isDraining = false;

  const store = await openStore(config, { clock: ownClock, log, metrics, lifecycle });
  const { commands, keys, feed } = store;

  // What all nodes follow
  const connections = () => edge.sockets.connections;
  const nodeRevocations = createNodeRevocations({ connections, clock });
  const control = new Control({
    store: createControlStore({ commands, keys }),
    clock,
    log,
    nodeId,
    onTime: (time, sentAt, receivedAt) => clock.measured(time, sentAt, receivedAt),
    onAppended: (pull) => feed.subscribe(keys.controlFeed(), pull),
    perform: (command) =>
      nodeRevocations.perform(command) + flow.recovery.perform(command) + flow.orders.perform(command),
    onDead: async (node) => {
      await flow.presence.onDead(node);
      await webhooks?.nodeDied(node);
    },
    onMissedCommands: () => {
      log.error({}, "node was offline longer than the control log is kept; closing all connections");
      for (const connection of connections().all()) connection.close(closing("drain"));
    },
  });
  const revocations = createRevocations(control);
  const ground = { config, store, control, metrics, clock, log };

  // Who may come in, and how much they may do
  const entry = createEntry(config, store, revocations, ground);
  const expiry = createExpiryWatch({ clock, log });
  // What a client was told is counted where it is told; here, what a limiter decided.
  const refused = (limiter: string, reason: string): void => metrics.limited.inc({ limiter, reason });
  const throttling = createThrottling({ commands, keys, clock, log, metrics: { refused } }, limits);

  // What flows, and the doors through which backends and clients come
  const webhooks = createWebhooks(config, ground);
  const flow: Flow = createFlow(ground, {
    webhooks,
    throttling,
    notifyUnsubscribed: (subscriber, channel, error) => edge.visits.notifyUnsubscribed(subscriber, channel, error),
  });
  const doors = createDoors(config, { ...ground, ...entry, ...flow, revocations });
  const edge: Edge = createEdge(ground, {
    entry,
    expiry,
    throttling,
    revocations,
    nodeRevocations,
    flow,
    doors,
    webhooks,
    place,
    isDraining: () => isDraining,
  });
  const { http, sockets, siblings } = edge;

  // Started in this order, stopped in the reverse one
  lifecycle.add(createEventLoopDelay(metrics));
  lifecycle.add({ name: "cluster", start: () => control.start(), stop: () => control.stop() });
  lifecycle.add(flow.presence);
  if (webhooks !== undefined) lifecycle.add(webhooks);
  lifecycle.add({ name: "recovery", start: () => flow.recovery.start(), stop: () => flow.recovery.stop() });
  lifecycle.add({ name: "channels", start: () => flow.channels.start(), stop: () => flow.channels.stop() });
  for (const service of [throttling, flow.leaderboards, flow.orders, doors]) lifecycle.add(service);
  // Before the first client, who would have to wait for them.
  lifecycle.add({ name: "keys", start: () => void entry.tokens.hasKeys() });
  lifecycle.add({ name: "expiry", stop: () => expiry.stop() });
  // Of several behind one port, whoever started them answers for all.
  if (config.metrics !== undefined && place === undefined)
    lifecycle.add(createMetricsServer({ ...metrics, clock, log }, config.metrics));
  if (siblings !== undefined)
    lifecycle.add({ name: "siblings", start: () => siblings.start(http.server), stop: () => siblings.stop() });
  lifecycle.add({ name: "socket server", start: () => sockets.start(), stop: () => sockets.close() });
  lifecycle.add(http);
  lifecycle.add({
    name: "clients",
    stop: async (end) => {
      moved = await drainConnections({ connections: () => connections().all(), clock }, config.drainTimeoutMs, end);
    },
  });
  let moved = { connections: 0, closed: 0 };

  async function drain(): Promise<boolean> {
    const begun = clock.monotonic();
    const isClean = await lifecycle.stop(config.drainTimeoutMs);
    const told = { ...moved, seconds: Math.round((clock.monotonic() - begun) / 100) / 10 };
    if (isClean) log.info(told, "drained");
    else log.warn(told, "drain exceeded its deadline");
    return isClean;
  }
  let draining: Promise<boolean> | undefined;

  return {
    metrics,
    store: store.description,
    get url() {
      return urlOf(config.host, http.port);
    },
    start: () => lifecycle.start().catch(explainDenial),
    drain() {
      isDraining = true;
      return (draining ??= drain());
    },
  };
}
