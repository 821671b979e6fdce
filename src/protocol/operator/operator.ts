import { z } from "zod";
import { session } from "../sessions.ts";
import { userBlock, userScore } from "../users.ts";
import {
  channelName,
  clientAddress,
  connectionId,
  nodeId,
  place,
  queuedBytes,
  sessionId,
  timestamp,
  userId,
  wholeNumber,
} from "../scalars.ts";

/** Schemas of the operator API, under `/v1/operator`. */

export const operatorRoles = ["viewer", "admin"] as const;
export type OperatorRole = (typeof operatorRoles)[number];

const role = z.enum(operatorRoles).meta({ description: "`viewer` sees, `admin` also acts." });
const nodeName = z
  .string()
  .regex(/^[\w.-]{1,128}$/)
  .meta({ description: "The node's id." });
/** Of an entry of a stream in Redis. */
export const entryId = z.string().regex(/^\d{1,20}-\d{1,20}$/, "is not the id of an entry");
export const nextCursor = z
  .string()
  .optional()
  .meta({ description: "Cursor of the next page; absent on the last page." });
export const limit = (max: number, fallback: number) =>
  wholeNumber(z.int().min(1).max(max))
    .optional()
    .meta({ description: `Default ${fallback}, at most ${max}.` });

// Signing in

export const signInBody = z.strictObject({
  name: z
    .string()
    .min(1)
    .max(64)
    .meta({ description: "Name of an operator in `OPERATORS`.", examples: ["ada"] }),
  secret: z
    .string()
    .min(1)
    .max(1_024)
    .meta({ description: "The operator's secret.", examples: ["operator-secret-of-at-least-32-bytes"] }),
});
export const operatorAnswer = z
  .object({
    name: z.string().meta({ description: "Name of the operator." }),
    role,
    expiresAt: timestamp
      .optional()
      .meta({ description: "When the cookie of signing in expires; absent for a secret sent as bearer." }),
  })
  .meta({ id: "Operator" });
export const signOutAnswer = z.object({ signedOut: z.literal(true) });

// Nodes

export const counts = z.record(z.string(), z.number());

const openConnections = z.int().meta({ description: "Open connections." });
const cpuCores = z.number().meta({ description: "Cores used over the last ten seconds." });
const memoryBytes = z.int().meta({ description: "Resident memory of the process." });

/** What nodes have done since they started. */
const traffic = {
  handshakes: counts.meta({ description: "Since the start, by outcome." }),
  publications: z.int().meta({ description: "Publications accepted since the start." }),
  deliveries: z.int().meta({ description: "Publications delivered to connections since the start." }),
  refusals: counts.meta({ description: "Since the start, by code." }),
  closings: counts.meta({ description: "Since the start, by code." }),
};

export const nodeReport = z
  .object({
    nodeId,
    state: z.enum(["ready", "degraded", "unavailable", "fenced", "draining"]).meta({
      description:
        "As `/readyz` says; `fenced` while the node delivers nothing because it may have missed a revocation; `draining` while it sends its clients to others.",
    }),
    reason: z.string().optional().meta({ description: "Why it is not `ready`." }),
    version: z.string().meta({ description: "Version of the gateway." }),
    nodejsVersion: z.string().meta({ description: "Version of Node.js." }),
    startedAt: timestamp.meta({ description: "When the node started." }),
    connections: openConnections,
    channels: z.int().meta({ description: "Channels with subscribers on this node." }),
    queuedBytes,
    memoryBytes,
    cpuCores,
    eventLoopUtilization: z
      .number()
      .meta({ description: "Share of the time in which the event loop was busy, 0 to 1." }),
    eventLoopDelayMs: z
      .number()
      .meta({ description: "Milliseconds within which 99 % of ready work ran, in the last ten seconds." }),
    leaseAgeMs: z.int().meta({ description: "Milliseconds since the last confirmed heartbeat." }),
    clockOffsetMs: z.int().meta({ description: "The clock of the node's machine minus the clock of Redis." }),
    answerMs: z.int().meta({ description: "Time until this node answered." }),
    ...traffic,
  })
  .meta({ id: "NodeReport" });
export type NodeReport = z.output<typeof nodeReport>;

export const nodeHistorySample = z
  .object({
    at: timestamp.meta({ description: "When it was measured, rounded down to ten seconds." }),
    connections: openConnections,
    handshakes: z.number().meta({ description: "Handshakes per second." }),
    publications: z.number().meta({ description: "Publications per second." }),
    deliveries: z.number().meta({ description: "Publications delivered to connections, per second." }),
    refusals: z.number().meta({ description: "Refused requests per second." }),
    closings: z.number().meta({ description: "Connections closed by the server, per second." }),
    cpuCores,
    memoryBytes,
  })
  .meta({ id: "NodeHistorySample" });
export type NodeHistorySample = z.output<typeof nodeHistorySample>;

const missingNode = z
  .object({
    nodeId,
    state: z.enum(["silent", "dead", "left"]).meta({
      description:
        "`silent`: it lives and did not answer in time; `dead`: its heartbeats stopped; `left`: it was stopped.",
    }),
    lastSeenAt: timestamp.optional().meta({ description: "When a node of the cluster has seen it last." }),
  })
  .meta({ id: "MissingNode" });
export type MissingNode = z.output<typeof missingNode>;
const missing = z.array(missingNode).meta({
  description: "Nodes that did not answer in time, died, or left within the last 15 minutes.",
});
export const silent = z.array(z.string()).meta({ description: "Living nodes that did not answer in time." });

export const overviewAnswer = z.object({
  at: timestamp,
  nodes: z.array(nodeReport),
  missing,
  totals: z
    .object({ connections: z.int(), channels: z.int(), queuedBytes: z.int(), ...traffic })
    .meta({ description: "Sums over the nodes that answered." }),
  history: z
    .array(nodeHistorySample)
    .meta({ description: "Sums over all nodes, every 10 seconds of the last 15 minutes." }),
  store: z.object({
    description: z.string(),
    latencyMs: z.number().optional(),
    usedMemoryBytes: z.int().optional(),
    maxMemoryBytes: z.int().optional(),
    clients: z.int().optional(),
    replicas: z.int().optional(),
    replicaLagSeconds: z.int().optional().meta({ description: "Since the slowest replica has confirmed something." }),
    evictionPolicy: z.string().optional().meta({ description: "`maxmemory-policy`." }),
    hasAppendOnlyFile: z.boolean().optional(),
    keys: z.int().optional().meta({ description: "Keys in the database." }),
    sampledKeys: z.int().optional().meta({ description: "Keys picked at random." }),
    foreignKeys: z.int().optional().meta({ description: "Those of them that are not of this gateway." }),
    probe: z
      .enum(["ok", "failing"])
      .meta({ description: "Whether what this node publishes to itself every second comes back." }),
    note: z.string().optional().meta({ description: "What its checks report." }),
  }),
});

export const nodeParams = z.object({ nodeId: nodeName.meta({ examples: ["node-1"] }) });
export const drainAnswer = z.object({ draining: z.int(), nodes: z.int(), acknowledged: z.int() });

// Connections

export const connectionSummary = z
  .object({
    connectionId,
    nodeId,
    userId,
    sessionId,
    address: clientAddress,
    userAgent: z.string().optional().meta({ description: "As the client sent it; absent if it sent none." }),
    transport: z.string().meta({ description: "`websocket`, `polling` or `stream`." }),
    connectedAt: timestamp.meta({ description: "When the connection was made." }),
    expiresAt: timestamp.meta({ description: "When its token expires." }),
    queuedBytes,
    channels: z
      .array(z.object({ channel: place.channel, epoch: place.epoch.optional(), offset: place.offset.optional() }))
      .meta({ description: "Subscribed channels, each with the node's position in it if it is known." }),
    roles: z.array(z.string()).meta({ description: "Roles of the session." }),
  })
  .meta({ id: "OperatorConnection" });
export type ConnectionSummary = z.output<typeof connectionSummary>;

export const filterText = z.string().min(1).max(256).optional();

export const connectionsQuery = z.strictObject({
  user: userId.optional().meta({ description: "Only connections of this user." }),
  session: sessionId.optional().meta({ description: "Only connections of this session." }),
  connection: filterText.meta({ description: "Only the connection with this id." }),
  address: filterText.meta({ description: "Only connections from this address." }),
  channel: channelName.optional().meta({ description: "Only connections that are subscribed to this channel." }),
  node: nodeName.optional().meta({ description: "Only connections to this node." }),
  transport: z
    .enum(["websocket", "polling", "stream"])
    .optional()
    .meta({ description: "Only connections over this transport." }),
  client: filterText.meta({ description: "Text that the user agent contains." }),
  limit: limit(200, 50),
  cursor: z.string().max(128).optional().meta({ description: "Cursor from the previous page." }),
  sort: z.enum(["age", "queue", "channels"]).optional().meta({
    description: "`age`: the oldest first, in pages; `queue`, `channels`: those with the most first. Default: `age`.",
  }),
});
export const connectionsAnswer = z.object({
  connections: z.array(connectionSummary),
  cursor: nextCursor,
  silent,
});

export const actAnswer = z.object({
  disconnected: z.int(),
  nodes: z.int(),
  acknowledged: z.int(),
  revoked: z.int().optional(),
});

export const clearLimitsBody = z
  .strictObject({
    userId: userId.optional().meta({ description: "The user whose limits start anew." }),
    address: z
      .union([z.ipv4(), z.ipv6()], "must be an IP address")
      .optional()
      .meta({ description: "The address whose limits start anew." }),
  })
  .refine((body) => body.userId !== undefined || body.address !== undefined, "must contain userId or address")
  .meta({ id: "ClearLimits", examples: [{ userId: "ada" }] });
export const limitsCleared = z.object({
  cleared: z.int().meta({ description: "Limits that had counted something." }),
  nodes: z.int(),
  acknowledged: z.int(),
});

// Users, channels

export const masked = "Absent for viewers, unless `CONSOLE_PAYLOADS=show`.";

const stateKey = z
  .object({
    key: z.string().meta({ description: "The key." }),
    updatedAt: timestamp.meta({ description: "When it was set." }),
    userId: z.string().optional().meta({ description: "Who set it; absent for a backend." }),
    value: z.unknown().optional().meta({ description: masked }),
  })
  .meta({ id: "OperatorStateKey" });

const limitState = z
  .object({
    limiter: z.string().meta({ description: "The limit, as in the settings under `limits`." }),
    role: z.string().optional().meta({ description: "Of a limit for users with this role." }),
    capacity: z.number().meta({ description: "Of the full bucket." }),
    left: z.int().meta({ description: "Without what nodes have reserved for connections that send now." }),
  })
  .meta({ id: "LimitState" });

export const userAnswer = z.object({
  userId: z.string(),
  block: userBlock.optional().meta({ description: "Set while the user is blocked." }),
  limits: z.object({
    buckets: z.array(limitState),
    refused: z.int().meta({ description: "Requests that limits refused in the last minute." }),
  }),
  presence: z
    .array(
      z.object({
        channel: z.string(),
        connections: z.int(),
        data: z.unknown().optional().meta({ description: masked }),
      }),
    )
    .meta({ description: "Channels in which others see the user, at most 20." }),
  orders: z
    .array(z.object({ orderId: z.string(), status: z.string(), role: z.string(), updatedAt: timestamp }))
    .meta({ description: "The last 20, the newest first." }),
  sessions: z.array(session.omit({ userId: true, data: true, connections: true })),
  connections: z.array(connectionSummary),
  silent,
});

export const userScoresAnswer = z.object({
  scores: z.array(userScore).meta({ description: "At most 50." }),
});

export const operatorChannelQuery = z.strictObject({
  before: wholeNumber(z.int().min(1))
    .optional()
    .meta({ description: "Returns publications before this offset. Default: the latest." }),
});

export const channelAnswer = z.object({
  channel: z.string(),
  kind: z.string(),
  rules: z.record(z.string(), z.unknown()).meta({ description: "The options of the channel's kind." }),
  epoch: z.string().optional(),
  offset: z.int().optional(),
  log: z
    .object({ size: z.int(), oldestAt: timestamp.optional() })
    .meta({ description: "How many publications are kept, and since when." }),
  subscribers: z.array(
    z.object({ nodeId: z.string(), subscribers: z.int(), queuedBytes: z.int(), offset: z.int().optional() }),
  ),
  publications: z.array(
    z.object({
      offset: z.int(),
      event: z.string(),
      publishedAt: timestamp,
      bytes: z.int(),
      data: z.unknown().optional().meta({ description: masked }),
    }),
  ),
  members: z
    .object({ count: z.int(), userIds: z.array(z.string()).meta({ description: "At most 50." }) })
    .optional()
    .meta({ description: "Absent for kinds without presence." }),
  state: z
    .object({ revision: z.int(), count: z.int(), keys: z.array(stateKey).meta({ description: "At most 50." }) })
    .optional()
    .meta({ description: "Absent for kinds without state." }),
  silent,
});

// Settings

export const settingsAnswer = z.object({
  nodeId: z.string(),
  settings: z
    .array(
      z.object({
        name: z.string(),
        value: z.unknown(),
        source: z.enum(["default", "file", "environment"]).meta({ description: "Where the node has the value from." }),
        variables: z.array(z.string()).optional().meta({ description: "With the source `environment`: which." }),
      }),
    )
    .meta({ description: "Secrets are masked." }),
  sources: z.object({
    environment: z.array(z.string()).meta({ description: "Variables that are set." }),
    file: z.array(z.string()).meta({ description: "Settings that are in the file; all others have their defaults." }),
  }),
  differences: z.array(z.object({ name: z.string(), values: z.record(z.string(), z.unknown()) })).meta({
    description: "Settings in which nodes differ, by node.",
  }),
  silent,
});
