import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import { version } from "./version.ts";

/**
 * Every metric of a node, declared together. Labels come from closed sets: never a user, a channel or a socket id.
 */
export interface Metrics {
  registry: Registry;
  connections: Gauge<"transport">;
  handshakes: Counter<"outcome">;
  publications: Counter<"door">;
  deliveries: Counter;
  deliveryLatency: Histogram;
  skipped: Counter<"reason">;
  queueBytes: Gauge;
  sentBytes: Counter;
  receivedBytes: Counter;
  eventLatency: Histogram<"class">;
  subscriptions: Gauge;
  refusals: Counter<"code" | "limiter" | "rule">;
  limited: Counter<"limiter" | "reason">;
  closings: Counter<"code">;
  commands: Counter<"type" | "outcome">;
  commandsWaiting: Gauge;
  commandsLag: Gauge;
  outboxLag: Gauge;
  deadLetters: Gauge<"of">;
  scheduled: Gauge;
  bridged: Counter<"outcome">;
  webhooks: Counter<"event" | "outcome">;
  webhooksWaiting: Gauge;
  appLatency: Histogram<"type" | "outcome">;
  cacheReads: Counter<"outcome">;
  channelsWatched: Gauge;
  feedMessages: Counter;
  gaps: Counter<"outcome">;
  redisLatency: Histogram<"role">;
  redisErrors: Counter<"role">;
  redisReconnects: Counter;
  eventErrors: Counter;
  strayErrors: Counter<"kind">;
  httpRequests: Counter<"route" | "status">;
  httpLatency: Histogram<"route">;
}

/** Whose event a client sent. */
export type EventClass = "built_in" | "app" | "unknown";

/** The response to a scrape. */
export type MetricsText = Pick<Registry, "metrics" | "contentType">;

/** `node_id` names the process on each sample. Not `node`, which Kubernetes' service discovery sets to the machine. */
export function createMetrics({ nodeId }: { nodeId: string }): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ node_id: nodeId });
  processMetricsIn(registry);
  buildInfoIn(registry);
  const registers = [registry];
  const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
  return {
    registry,
    connections: new Gauge({
      name: "gateway_connections",
      help: "Open client connections.",
      labelNames: ["transport"],
      registers,
    }),
    handshakes: new Counter({
      name: "gateway_handshakes_total",
      help: "Handshakes by outcome: accepted, recovered, or an error code.",
      labelNames: ["outcome"],
      registers,
    }),
    publications: new Counter({
      name: "gateway_publications_total",
      help: "Publications accepted by this node, by entry point.",
      labelNames: ["door"],
      registers,
    }),
    deliveries: new Counter({
      name: "gateway_deliveries_total",
      help: "Publications written to client connections.",
      registers,
    }),
    deliveryLatency: new Histogram({
      name: "gateway_delivery_latency_seconds",
      help: "Time from a publication's timestamp to the write to its subscribers; one sample per publication and node.",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    skipped: new Counter({
      name: "gateway_deliveries_skipped_total",
      help: "Publications not delivered: conflated into a later one, or volatile and dropped for a lagging client.",
      labelNames: ["reason"],
      registers,
    }),
    queueBytes: new Gauge({
      name: "gateway_outbound_queue_bytes",
      help: "Bytes in this node's send queues, waiting for clients to read them.",
      registers,
    }),
    sentBytes: new Counter({
      name: "gateway_sent_bytes_total",
      help: "Bytes of frames for Socket.IO clients, including those that still wait in send queues.",
      registers,
    }),
    receivedBytes: new Counter({
      name: "gateway_received_bytes_total",
      help: "Bytes of events received from Socket.IO clients.",
      registers,
    }),
    eventLatency: new Histogram({
      name: "gateway_event_seconds",
      help: "Time to handle a client's event until its answer, by class: built_in, app, or unknown.",
      labelNames: ["class"],
      buckets: seconds,
      registers,
    }),
    subscriptions: new Gauge({
      name: "gateway_subscriptions",
      help: "Subscriptions of this node's connections.",
      registers,
    }),
    refusals: new Counter({
      name: "gateway_refusals_total",
      help: "Refused requests by error code, and by the limiter or the rule that refused them, if there is one.",
      labelNames: ["code", "limiter", "rule"],
      registers,
    }),
    limited: new Counter({
      name: "gateway_limited_total",
      help: "Rate-limited operations by limiter and reason: limit, never, store_away, or shadow (allowed).",
      labelNames: ["limiter", "reason"],
      registers,
    }),
    closings: new Counter({
      name: "gateway_closings_total",
      help: "Connections closed by the server, by closing code.",
      labelNames: ["code"],
      registers,
    }),
    commands: new Counter({
      name: "gateway_commands_total",
      help: "Commands of the stream and the outbox by type and outcome: performed, retried, dead.",
      labelNames: ["type", "outcome"],
      registers,
    }),
    commandsWaiting: new Gauge({
      name: "gateway_commands_waiting",
      help: "Stream commands not yet performed, across all nodes.",
      registers,
    }),
    commandsLag: new Gauge({
      name: "gateway_commands_lag_seconds",
      help: "Age of the oldest stream command not yet performed, across all nodes; 0 if there is none.",
      registers,
    }),
    outboxLag: new Gauge({
      name: "gateway_outbox_lag_seconds",
      help: "Age of the oldest command in the Postgres outbox; 0 if there is none. Without samples while Postgres is away.",
      registers,
    }),
    deadLetters: new Gauge({
      name: "gateway_dead_letters",
      help: "Dead letters: of stream commands and webhooks in Redis, and of the outbox in Postgres.",
      labelNames: ["of"],
      registers,
    }),
    scheduled: new Gauge({
      name: "gateway_scheduled",
      help: "Publications scheduled for later, across all nodes.",
      registers,
    }),
    bridged: new Counter({
      name: "gateway_bridged_total",
      help: "Bridge messages by outcome: stored, repeated, live, command, or an error code.",
      labelNames: ["outcome"],
      registers,
    }),
    webhooks: new Counter({
      name: "gateway_webhooks_total",
      help: "Webhook messages by event and outcome: queued, delivered, retried, dead.",
      labelNames: ["event", "outcome"],
      registers,
    }),
    webhooksWaiting: new Gauge({
      name: "gateway_webhooks_waiting",
      help: "Queued webhook messages across all nodes, when this node last checked.",
      registers,
    }),
    appLatency: new Histogram({
      name: "gateway_app_request_seconds",
      help: "Requests to the app over HTTP: events and hooks, by their outcome.",
      labelNames: ["type", "outcome"],
      buckets: seconds,
      registers,
    }),
    cacheReads: new Counter({
      name: "gateway_cache_reads_total",
      help: "Cache reads by outcome: from memory, from Redis, stale while reloading, or loaded.",
      labelNames: ["outcome"],
      registers,
    }),
    channelsWatched: new Gauge({
      name: "gateway_channels_watched",
      help: "Channels with at least one subscriber on this node.",
      registers,
    }),
    feedMessages: new Counter({
      name: "gateway_feed_messages_total",
      help: "Publications read from Redis: one per publication in each channel with subscribers on this node.",
      registers,
    }),
    gaps: new Counter({
      name: "gateway_gaps_total",
      help: "Gaps detected in channel offsets: repaired from history, or reported to subscribers.",
      labelNames: ["outcome"],
      registers,
    }),
    redisLatency: new Histogram({
      name: "gateway_redis_latency_seconds",
      help: "Time from a Redis command to its reply, by connection role.",
      labelNames: ["role"],
      buckets: seconds,
      registers,
    }),
    redisErrors: new Counter({
      name: "gateway_redis_errors_total",
      help: "Redis commands that failed, by connection role.",
      labelNames: ["role"],
      registers,
    }),
    redisReconnects: new Counter({
      name: "gateway_redis_reconnects_total",
      help: "Redis connections dropped because they were open but unresponsive.",
      registers,
    }),
    eventErrors: new Counter({
      name: "gateway_handler_errors_total",
      help: "Exceptions caught around handlers and timers.",
      registers,
    }),
    strayErrors: strayErrorsIn(registry),
    httpRequests: new Counter({
      name: "gateway_http_requests_total",
      help: "HTTP requests by route and status.",
      labelNames: ["route", "status"],
      registers,
    }),
    httpLatency: new Histogram({
      name: "gateway_http_latency_seconds",
      help: "Time to answer an HTTP request, by route.",
      labelNames: ["route"],
      buckets: seconds,
      registers,
    }),
  };
}

/** For any process: a node, and the supervisor of several. */
export const strayErrorsIn = (registry: Registry): Counter<"kind"> =>
  new Counter({
    name: "gateway_stray_errors_total",
    help: "Uncaught errors by kind: exception or rejection. Any value above 0 is a bug.",
    labelNames: ["kind"],
    registers: [registry],
  });

/** Always 1; a change of its labels marks a deployment. */
function buildInfoIn(registry: Registry): void {
  new Gauge({
    name: "gateway_build_info",
    help: "Version of the gateway and of Node.js that this node runs; always 1.",
    labelNames: ["version", "nodejs_version"],
    registers: [registry],
  }).set({ version, nodejs_version: process.versions.node }, 1);
}

/**
 * CPU, memory and garbage collection of any process, under the standard names `process_*` and `nodejs_*`, so that stock
 * dashboards match. Omits the event loop lag of prom-client: it is wrong at rest, and measuring it wakes the
 * process a hundred times a second; `event-loop-delay.ts` has the same names. Also omits
 * its gauges named `*_total`, which are sums of others and which `promtool check metrics` rejects.
 */
export function processMetricsIn(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: never });
  for (const { name } of registry.getMetricsAsArray()) {
    if (/^nodejs_(eventloop_lag_|active_\w+_total$)/.test(name)) registry.removeSingleMetric(name);
  }
}

/** Max delay of a timer in milliseconds. */
const never = 2_147_483_647;
