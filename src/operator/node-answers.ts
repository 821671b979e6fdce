import type { Channels } from "../channels/channels.ts";
import type { Connection } from "../connections/connection.ts";
import type { Connections } from "../connections/connections.ts";
import type { ConnectionSummary, NodeReport, NodeHistorySample } from "../protocol/operator/operator.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ReasonLog, RecordedReason } from "../runtime/reason-log.ts";
import {
  byWeight,
  firstAfter,
  type ConnectionFilter,
  type ConnectionPlace,
  type ConnectionSort,
} from "./connection-pages.ts";
import type { LiveTraces } from "./live-traces.ts";
import type { AnswerQuestion, NodeQueries, NodeQuestion } from "../cluster/node-queries.ts";
import type { NodeReporter } from "./node-report.ts";
import type { TraceQuestion } from "./trace-service.ts";

export interface NodeAnswersDeps {
  nodeId: string;
  connections: Connections;
  channels: Channels;
  reporter: NodeReporter;
  reasons: Pick<ReasonLog, "latest">;
  clock: Pick<Clock, "now">;
  traces: Pick<LiveTraces, "start" | "stop" | "read" | "list">;
  /** Effective settings with secrets masked. */
  settings: Readonly<Record<string, unknown>>;
}

/** Questions of operators and what a node answers. */
export interface NodeAnswerTypes {
  overview: { report: Omit<NodeReport, "answerMs">; samples: readonly NodeHistorySample[] };
  connections: ConnectionSummary[];
  channel: { subscribers: number; offset: number | undefined; queuedBytes: number };
  reasons: RecordedReason[];
  /** Requests of a user that limits refused in the last minute. */
  refused: number;
  settings: Readonly<Record<string, unknown>>;
}

export interface ConnectionsQuestion extends NodeQuestion {
  type: "connections";
  filter: ConnectionFilter;
  after?: ConnectionPlace | undefined;
  limit: number;
  /** @default "age" */
  sort?: ConnectionSort | undefined;
}

const maxPage = 201;
const maxReasons = 1_000;
const refusedWithinMs = 60_000;

/** Answers operators' questions about this node. */
export function answerOperators(queries: Pick<NodeQueries, "on">, deps: NodeAnswersDeps): void {
  const { reporter, reasons, channels, settings } = deps;
  const answers: { [T in keyof NodeAnswerTypes]: AnswerQuestion } = {
    overview: () => reporter.report().then((report) => ({ report, samples: reporter.samples })),
    connections: (question) => listConnections(deps, question as ConnectionsQuestion),
    channel: ({ channel }) => channelState(channels, String(channel)),
    reasons: () => reasons.latest(maxReasons),
    refused: ({ userId }) => refusedOf(deps, String(userId)),
    settings: () => settings,
  };
  for (const [type, answer] of Object.entries(answers)) queries.on(type, answer);
  for (const type of ["traces", "trace.start", "trace.stop", "trace.read"])
    queries.on(type, (question) => answerTrace(deps, question as TraceQuestion));
}

function refusedOf({ reasons, clock }: NodeAnswersDeps, userId: string): number {
  const since = clock.now() - refusedWithinMs;
  const refused = reasons
    .latest(maxReasons)
    .filter((reason) => reason.userId === userId && reason.code === "rate_limited" && reason.at >= since);
  return refused.reduce((sum, { count }) => sum + count, 0);
}

function answerTrace(
  { traces, nodeId }: NodeAnswersDeps,
  { type, trace, traceId = "", after }: TraceQuestion,
): unknown {
  if (type === "trace.start") return trace !== undefined && traces.start(trace);
  if (type === "trace.stop") return traces.stop(traceId);
  if (type === "trace.read") return traces.read(traceId, after?.[nodeId] ?? 0) ?? null;
  return traces.list();
}

function channelState(channels: Channels, channel: string): NodeAnswerTypes["channel"] {
  const local = channels.local.get(channel);
  // A subscriber of this node is always a connection.
  const subscribers = (local?.subscribers ?? []) as readonly Connection[];
  const queuedBytes = subscribers.reduce((sum, connection) => sum + connection.queuedBytes, 0);
  return { subscribers: subscribers.length, offset: local?.position?.offset, queuedBytes };
}

function positionOf(channels: Channels, channel: string): { epoch?: string; offset?: number } {
  const { epoch, offset } = channels.local.get(channel)?.position ?? {};
  return epoch === undefined || offset === undefined ? {} : { epoch, offset };
}

function listConnections(deps: NodeAnswersDeps, question: ConnectionsQuestion): ConnectionSummary[] {
  const { filter, after, limit, sort = "age" } = question;
  if (filter.nodeId !== undefined && filter.nodeId !== deps.nodeId) return [];
  const page = { filter, after, limit: Math.min(limit, maxPage) };
  return firstAfter(candidates(deps, filter), page, comparing(deps, sort)).map((one) => toSummary(deps, one));
}

function comparing({ channels }: NodeAnswersDeps, sort: ConnectionSort) {
  if (sort === "age") return undefined;
  return byWeight<Connection>(
    sort === "queue" ? ({ queuedBytes }) => queuedBytes : (connection) => channels.channelsOf(connection).length,
  );
}

/** By the most selective index; all connections only if nothing else is known. */
function candidates({ connections, channels }: NodeAnswersDeps, filter: ConnectionFilter): Iterable<Connection> {
  const { connectionId, sessionId, userId, channel } = filter;
  const one = connectionId === undefined ? undefined : connections.get(connectionId);
  if (connectionId !== undefined) return one === undefined ? [] : [one];
  if (sessionId !== undefined) return reading(channels, connections.ofSession(sessionId), channel);
  if (userId !== undefined) return reading(channels, connections.ofUser(userId), channel);
  // A subscriber of this node is always a connection (`socket-connection.ts`).
  return channel === undefined
    ? connections.all()
    : ((channels.local.get(channel)?.subscribers ?? []) as readonly Connection[]);
}

const reading = (
  channels: Channels,
  connections: readonly Connection[],
  channel: string | undefined,
): readonly Connection[] =>
  channel === undefined
    ? connections
    : connections.filter((connection) => channels.channelsOf(connection).includes(channel));

function toSummary({ nodeId, channels }: NodeAnswersDeps, connection: Connection): ConnectionSummary {
  const { id, identity, address, userAgent, transport, connectedAt, queuedBytes } = connection;
  return {
    connectionId: id,
    nodeId,
    userId: identity.userId,
    sessionId: identity.sessionId,
    address,
    ...(userAgent === undefined ? {} : { userAgent }),
    transport,
    connectedAt,
    expiresAt: identity.expiresAt,
    queuedBytes,
    channels: channels.channelsOf(connection).map((channel) => ({ channel, ...positionOf(channels, channel) })),
    roles: [...identity.roles],
  };
}
