import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/**
 * Every metric of a node, declared together. Labels come from closed sets: never a user, a channel or a socket id.
 */
export interface Metrics {
  registry: Registry;
  connections: Gauge<"transport">;
  handshakes: Counter<"outcome">;
  publications: Counter<"door">;
  deliveries: Counter;
  skipped: Counter<"reason">;
  queueBytes: Gauge;
  refusals: Counter<"code" | "limiter">;
  limited: Counter<"limiter" | "reason">;
  closings: Counter<"code">;
  commands: Counter<"type" | "outcome">;
  bridged: Counter<"outcome">;
  webhooks: Counter<"event" | "outcome">;
  webhooksWaiting: Gauge;
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

/** What a scrape is answered with. */
export type MetricsText = Pick<Registry, "metrics" | "contentType">;

/** `node` names the process on each sample. */
export function createMetrics({ nodeId }: { nodeId: string }): Metrics {
  const registry = new Registry();
  registry.setDefaultLabels({ node: nodeId });
  processMetricsIn(registry);
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
      help: "Handshakes by outcome: accepted, recovered, or the code of the refusal.",
      labelNames: ["outcome"],
      registers,
    }),
    publications: new Counter({
      name: "gateway_publications_total",
      help: "Publications accepted by this node, by the door they came through.",
      labelNames: ["door"],
      registers,
    }),
    deliveries: new Counter({
      name: "gateway_deliveries_total",
      help: "Publications written to client connections.",
      registers,
    }),
    skipped: new Counter({
      name: "gateway_deliveries_skipped_total",
      help: "Deliveries not made: conflated into a later one, or volatile and the client lagging.",
      labelNames: ["reason"],
      registers,
    }),
    queueBytes: new Gauge({
      name: "gateway_outbound_queue_bytes",
      help: "Bytes that wait in this node for clients to read them.",
      registers,
    }),
    refusals: new Counter({
      name: "gateway_refusals_total",
      help: "Requests refused, by code and, where one refused, by limiter.",
      labelNames: ["code", "limiter"],
      registers,
    }),
    limited: new Counter({
      name: "gateway_limited_total",
      help: "Acts a limiter decided against, by limiter and reason: limit, never, store_away, shadow (let through).",
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
      help: "Commands of the stream by type and outcome: performed, retried, dead.",
      labelNames: ["type", "outcome"],
      registers,
    }),
    bridged: new Counter({
      name: "gateway_bridged_total",
      help: "Messages heard by bridges by outcome: stored, repeated, live, command, or the code of the refusal.",
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
      help: "Webhook messages that wait, over all nodes, when this one last looked.",
      registers,
    }),
    cacheReads: new Counter({
      name: "gateway_cache_reads_total",
      help: "Reads of the cache by outcome: from memory, from the store, stale while it is loaded anew, loaded.",
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
      help: "Publications read from Redis: one for each in a channel with subscribers on this node, however many.",
      registers,
    }),
    gaps: new Counter({
      name: "gateway_gaps_total",
      help: "Gaps found in a channel's offsets: repaired from the log, or told to subscribers.",
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
      help: "Connections to Redis given up because they were open and yet dead.",
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

/** Any process has them: a node, and the one that keeps several up. */
export const strayErrorsIn = (registry: Registry): Counter<"kind"> =>
  new Counter({
    name: "gateway_stray_errors_total",
    help: "Errors that nobody caught, by kind: exception or rejection. More than none is a defect.",
    labelNames: ["kind"],
    registers: [registry],
  });

/**
 * What any process tells of itself: CPU, memory, garbage collection. Not prom-client's lag of the event loop: it is wrong
 * at rest, where `gateway_event_loop_delay_seconds` is right, and to know it wakes the process a hundred times a second.
 */
export function processMetricsIn(registry: Registry): void {
  collectDefaultMetrics({ register: registry, prefix: "gateway_", eventLoopMonitoringPrecision: never });
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith("gateway_nodejs_eventloop_lag_")) registry.removeSingleMetric(name);
  }
}

/** Milliseconds, the most that a timer takes. */
const never = 2_147_483_647;
