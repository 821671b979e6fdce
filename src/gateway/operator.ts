import { fileURLToPath } from "node:url";
import { createChannelLog } from "../channels/channel-log.ts";
import type { CommandExecutor } from "../commands/command-executor.ts";
import type { Schedule } from "../commands/schedule.ts";
import { createDeadCommandStore } from "../commands/dead-command-store.ts";
import { createOutboxDeadLetters } from "../commands/outbox/outbox-dead-letters.ts";
import type { ConnectDatabase } from "../commands/outbox/postgres.ts";
import { readStreamBacklog } from "../commands/stream-backlog.ts";
import { maskSecrets } from "../config/masking.ts";
import { flatten, sourceOf } from "../config/sources.ts";
import type { ConnectionRegistry } from "../connections/connections.ts";
import type { BackendAct } from "../http/backend-api.ts";
import type { Readiness } from "../http/readiness.ts";
import type { Route } from "../http/route.ts";
import { idempotent } from "../http/routes/idempotent.ts";
import type { ConnectionsOfUser } from "../http/routes/rights.ts";
import { createAuditLog } from "../operator/audit-log.ts";
import { createDeadNodeLog } from "../operator/dead-node-log.ts";
import type { TraceFacts } from "../operator/live-traces.ts";
import { answerOperators } from "../operator/node-answers.ts";
import { NodeReporter } from "../operator/node-report.ts";
import { OperatorService } from "../operator/operator.ts";
import { createOperators, type Operators } from "../operator/operators.ts";
import { createOperatorActs } from "../operator/routes/acts.ts";
import { createBackendActs } from "../operator/routes/backend-acts.ts";
import { createOperatorQueues } from "../operator/routes/queues.ts";
import { createOperatorSessionRoutes } from "../operator/routes/session.ts";
import { createOperatorServiceRoutes } from "../operator/routes/services.ts";
import { createTraceRoutes } from "../operator/routes/traces.ts";
import { createOperatorViews } from "../operator/routes/views.ts";
import { TraceService } from "../operator/trace-service.ts";
import type { ConnectionSummary } from "../protocol/operator/operator.ts";
import type { Revocations } from "../auth/revocations.ts";
import { sleep, systemClock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import { version } from "../runtime/version.ts";
import type { Throttling } from "../throttling/throttling.ts";
import { createDeadLetters } from "../redis/queues/dead-letters.ts";
import { createDeliveryQueueStore, type DeliveryQueueStore } from "../webhooks/delivery-queue-store.ts";
import { createEndpoints, type WebhookEndpoint } from "../webhooks/endpoints.ts";
import { createDeadWebhookStore } from "../webhooks/dead-webhook-store.ts";
import type { Authentication } from "./authentication.ts";
import type { CoreServices } from "./core-services.ts";
import type { NodeContext } from "./node-context.ts";
import type { Store } from "./store.ts";

export interface OperatorParts {
  connectOutbox: ConnectDatabase | undefined;
  authentication: Authentication;
  services: CoreServices;
  connections: ConnectionRegistry;
  revocations: Revocations;
  throttling: Throttling;
  readiness: Readiness;
  isDraining: () => boolean;
  requestDrain: () => void;
  executor: CommandExecutor;
  schedule: Schedule;
  leaseAgeMs: () => number;
  recentLoopDelay: () => number;
}

/** The operator API of a node. */
export interface NodeOperator extends Service {
  /** The calls of operators, some of which are calls of backends. */
  routesWith(backendRoutes: readonly Route[]): Route[];
  operators: Operators;
  note: OperatorService["note"];
  /** A user's connections on all nodes; `nodes` were asked and `acknowledged` answered. */
  connectionsOfUser: ConnectionsOfUser;
  /** Folder of the console's page. */
  page: string;
}

/** Max connections that one answer lists. */
const maxListed = 200;

const page = fileURLToPath(new URL("../../console/dist/", import.meta.url));

/** Answers operators of all nodes about this one; with OPERATORS set, also the operator API. */
export function createNodeOperator(context: NodeContext, parts: OperatorParts): NodeOperator {
  const { config, store, control, queries, metrics, reasons, traces, clock, log } = context;
  const { commands, keys } = store;
  const { authentication, services, connections, revocations, throttling } = parts;
  const { nodeId } = config;
  const reporter = new NodeReporter({ ...parts, nodeId, version, metrics, connections, clock, ownClock: systemClock });
  // Their sources are shown by themselves, and every node has another name.
  const { sources, nodeId: _nodeId, ...shared } = config;
  const settings = flatten(maskSecrets(shared));
  answerOperators(queries, {
    nodeId,
    connections,
    channels: services.channels,
    reporter,
    reasons,
    clock,
    traces,
    settings,
  });
  const audit = createAuditLog(store);
  const deadNodes = createDeadNodeLog(store);
  const { permissions, kinds, channels } = services;
  const why = { ...authentication, permissions, clock, ownClock: systemClock };
  const { requestDrain } = parts;
  const { counts } = throttling;
  const operator = new OperatorService({
    queries,
    control,
    connections,
    audit,
    why,
    nodeId,
    requestDrain,
    deadNodes,
    counts,
    clock,
    log,
  });
  const operators = createOperators({
    operators: config.operators,
    login: (address, subject) => throttling.login(address, subject),
    clock,
  });
  const showPayloads = config.console.payloads === "show";
  const letters = {
    commands: createDeadLetters(createDeadCommandStore(store)),
    webhooks: createDeadLetters(createDeadWebhookStore(store)),
    outbox: parts.connectOutbox && createOutboxDeadLetters(parts.connectOutbox),
  };
  const [endpoints, deliveries] = [createEndpoints(config.webhooks), createDeliveryQueueStore(store)];
  const backlog = () => readStreamBacklog({ commands, keys, clock, partitions: config.commands.partitions });

  const ownRoutes = (): Route[] => [
    ...createOperatorSessionRoutes(operators),
    ...createOperatorViews({
      operator,
      audit,
      sessions: authentication.sessions,
      ...services,
      members: services.presence.members,
      history: channels.history.bind(channels),
      extent: createChannelLog(store).extent,
      kinds,
      storeState: () => stateOf(store),
      sources: { ...sources, of: (name) => sourceOf(name, sources) },
      showPayloads,
    }),
    ...createTraceRoutes({ traces: new TraceService({ queries, clock }), showPayloads }),
    ...createOperatorServiceRoutes({ ...services, executor: parts.executor, showPayloads }),
    ...createOperatorQueues({
      letters,
      backlog,
      metrics,
      endpoints: () => Promise.all(endpoints.map((endpoint) => stateOfEndpoint(deliveries, endpoint))),
      schedule: parts.schedule,
      showPayloads,
    }),
    ...createOperatorActs({ operator, logouts: authentication.logouts, revocations }),
  ];

  return {
    name: "operator",
    operators,
    page,
    note(act) {
      if (traces.isActive && act.operation !== "startTrace") traces.record(toTracedAct(act));
      if (!act.isTraffic) operator.note(act);
    },
    async connectionsOfUser(userId) {
      const question = { type: "connections", filter: { userId }, limit: maxListed } as const;
      const { answers, silent } = await queries.ask<ConnectionSummary[]>(question, 0);
      const connections = answers.flatMap(({ value }) => value).slice(0, maxListed);
      return { connections, nodes: answers.length + silent.length, acknowledged: answers.length };
    },
    routesWith: (backendRoutes) => [
      ...ownRoutes().map((route) => idempotent(route, parts.executor)),
      ...createBackendActs(backendRoutes),
    ],
    start: () => reporter.start(),
    stop: () => reporter.stop(),
  };
}

const toTracedAct = ({ operation, caller, via, address, target }: BackendAct): TraceFacts => ({
  kind: "act",
  event: operation,
  detail: `${via === "api" ? "API key" : "operator"} ${caller}`,
  address,
  ...subjectsOf(target),
});

/** Whom an act was about. */
function subjectsOf(
  target: BackendAct["target"],
): Pick<TraceFacts, "userId" | "sessionId" | "connectionId" | "channel"> {
  const names = ["userId", "sessionId", "connectionId", "channel"] as const;
  return Object.fromEntries(names.flatMap((name) => (typeof target[name] === "string" ? [[name, target[name]]] : [])));
}

/** Max milliseconds the store may take for its own numbers. */
const infoTimeoutMs = 800;

/** Numbers of the store; without those that it does not tell in time. */
async function stateOf({ commands, keys, check, probe, description }: Store): Promise<object> {
  const { note } = check.result;
  const startedAt = performance.now();
  const late = sleep(systemClock, infoTimeoutMs).then(() => undefined);
  const info = await Promise.race([commands.info().catch(() => undefined), late]);
  const known = { description, probe: probe.isHealthy ? "ok" : "failing", ...(note === undefined ? {} : { note }) };
  if (info === undefined) return known;
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
  const lags = [...info.matchAll(/^slave\d+:.*lag=(\d+)/gm)].map(([, lag]) => Number(lag));
  const latencyMs = Math.round((performance.now() - startedAt) * 10) / 10;
  return {
    ...known,
    ...(await Promise.race([sampleKeys({ commands, keys }), late])),
    latencyMs,
    usedMemoryBytes: field("used_memory"),
    maxMemoryBytes: field("maxmemory"),
    clients: field("connected_clients"),
    replicas: field("connected_slaves"),
    evictionPolicy: /^maxmemory_policy:(\S+)/m.exec(info)?.[1],
    hasAppendOnlyFile: field("aof_enabled") === 1,
    keys: Number(/^db\d+:keys=(\d+)/m.exec(info)?.[1] ?? 0),
    ...(lags.length === 0 ? {} : { replicaLagSeconds: Math.max(...lags) }),
  };
}

const maxShownQueues = 20;

async function stateOfEndpoint(store: DeliveryQueueStore, { id, origin }: WebhookEndpoint) {
  const [waiting, { count, next }] = await Promise.all([store.waiting(id), store.queues(id, maxShownQueues)]);
  return { to: origin, waiting, queues: count, next };
}

const maxSampledKeys = 32;

/** How many of some keys are not of this gateway; empty if the user may not ask. */
async function sampleKeys({ commands, keys }: Pick<Store, "commands" | "keys">) {
  const sample = Array.from({ length: maxSampledKeys }, () => commands.randomkey());
  const found = (await Promise.all(sample).catch(() => undefined))?.filter((key) => key !== null);
  if (found === undefined) return {};
  return { sampledKeys: found.length, foreignKeys: found.filter((key) => !key.startsWith(`${keys.prefix}:`)).length };
}
