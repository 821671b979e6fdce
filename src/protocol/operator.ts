import { z } from "zod";
import { userBlock, userScore } from "./users.ts";
import { channelName, sessionId, timestamp, userId, wholeNumber } from "./scalars.ts";

/** Schemas of the operator API, under `/v1/operator`. */

export const operatorRoles = ["viewer", "admin"] as const;
export type OperatorRole = (typeof operatorRoles)[number];

const role = z.enum(operatorRoles).meta({ description: "`viewer` sees, `admin` also acts." });
const nodeName = z.string().regex(/^[\w.-]{1,128}$/);
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
    .meta({ examples: ["ada"] }),
  secret: z
    .string()
    .min(1)
    .max(1_024)
    .meta({ examples: ["operator-secret-of-at-least-32-bytes"] }),
});
export const operatorAnswer = z
  .object({ name: z.string(), role, expiresAt: timestamp.optional() })
  .meta({ id: "Operator" });
export const signOutAnswer = z.object({ signedOut: z.literal(true) });

// Nodes

const counts = z.record(z.string(), z.number());

export const nodeReport = z
  .object({
    nodeId: z.string(),
    state: z.enum(["ready", "degraded", "unavailable", "draining"]),
    reason: z.string().optional().meta({ description: "Why it is not `ready`." }),
    version: z.string(),
    nodejsVersion: z.string(),
    startedAt: timestamp,
    connections: z.int(),
    channels: z.int(),
    queuedBytes: z.int(),
    memoryBytes: z.int(),
    cpuCores: z.number().meta({ description: "Cores used over the last samples." }),
    eventLoopUtilization: z
      .number()
      .meta({ description: "Share of the time in which the event loop was busy, 0 to 1." }),
    leaseAgeMs: z.int().meta({ description: "Milliseconds since the last confirmed heartbeat." }),
    answerMs: z.int().meta({ description: "Time until this node answered." }),
    handshakes: counts.meta({ description: "Since the start, by outcome." }),
    refusals: counts.meta({ description: "Since the start, by code." }),
    closings: counts.meta({ description: "Since the start, by code." }),
  })
  .meta({ id: "NodeReport" });
export type NodeReport = z.output<typeof nodeReport>;

export const nodeHistorySample = z
  .object({
    at: timestamp,
    connections: z.int(),
    handshakes: z.number().meta({ description: "Per second, as the following." }),
    publications: z.number(),
    deliveries: z.number(),
    refusals: z.number(),
    cpuCores: z.number(),
    memoryBytes: z.int(),
  })
  .meta({ id: "NodeHistorySample" });
export type NodeHistorySample = z.output<typeof nodeHistorySample>;

const missingNode = z
  .object({
    nodeId: z.string(),
    state: z.enum(["silent", "dead", "left"]),
    lastSeenAt: timestamp.optional(),
  })
  .meta({ id: "MissingNode" });
export type MissingNode = z.output<typeof missingNode>;
const missing = z.array(missingNode).meta({
  description: "Nodes that did not answer in time, died, or left within the last 15 minutes.",
});
const silent = z.array(z.string()).meta({ description: "Living nodes that did not answer in time." });

export const overviewAnswer = z.object({
  at: timestamp,
  nodes: z.array(nodeReport),
  missing,
  totals: z.object({ connections: z.int(), channels: z.int(), queuedBytes: z.int() }),
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
    note: z.string().optional().meta({ description: "What its checks report." }),
  }),
});

export const nodeParams = z.object({ nodeId: nodeName.meta({ examples: ["node-1"] }) });
export const drainAnswer = z.object({ draining: z.int(), nodes: z.int(), acknowledged: z.int() });

// Connections

export const connectionSummary = z
  .object({
    connectionId: z.string(),
    nodeId: z.string(),
    userId: z.string(),
    sessionId: z.string(),
    address: z.string(),
    userAgent: z.string().optional(),
    transport: z.string(),
    connectedAt: timestamp,
    expiresAt: timestamp,
    queuedBytes: z.int(),
    channels: z.array(z.object({ channel: z.string(), epoch: z.string().optional(), offset: z.int().optional() })),
    roles: z.array(z.string()),
  })
  .meta({ id: "OperatorConnection" });
export type ConnectionSummary = z.output<typeof connectionSummary>;

export const filterText = z.string().min(1).max(256).optional();

export const connectionsQuery = z.strictObject({
  user: userId.optional(),
  session: sessionId.optional(),
  connection: filterText,
  address: filterText,
  channel: channelName.optional(),
  node: nodeName.optional(),
  transport: z.enum(["websocket", "polling", "stream"]).optional(),
  client: filterText.meta({ description: "Text that the user agent contains." }),
  limit: limit(200, 50),
  cursor: z.string().max(128).optional(),
  sort: z.enum(["age", "queue", "channels"]).optional().meta({
    description: "`age`: the oldest first, in pages; `queue`, `channels`: those with the most first. Default: `age`.",
  }),
});
export const connectionsAnswer = z.object({
  connections: z.array(connectionSummary),
  cursor: z.string().optional().meta({ description: "Of the next page." }),
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
    userId: userId.optional(),
    address: z.union([z.ipv4(), z.ipv6()], "must be an IP address").optional(),
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
    key: z.string(),
    updatedAt: timestamp,
    userId: z.string().optional().meta({ description: "Who set it; absent for a backend." }),
    value: z.unknown().optional().meta({ description: masked }),
  })
  .meta({ id: "OperatorStateKey" });

const limitState = z
  .object({
    limiter: z.string(),
    role: z.string().optional().meta({ description: "Of a limit for users with this role." }),
    capacity: z.number(),
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
  orders: z
    .array(z.object({ orderId: z.string(), status: z.string(), role: z.string(), updatedAt: timestamp }))
    .meta({ description: "The last 20, the newest first." }),
  sessions: z.array(
    z.object({
      sessionId: z.string(),
      createdAt: timestamp,
      lastSeenAt: timestamp,
      expiresAt: timestamp,
      userAgent: z.string().optional(),
      roles: z.array(z.string()),
      channels: z.object({ subscribe: z.array(z.string()), publish: z.array(z.string()) }),
      granted: z
        .array(z.string())
        .optional()
        .meta({ description: "Channels that a backend, an app or an operator has subscribed the user to." }),
    }),
  ),
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

// Refusals, Why?

export const recordedReason = z
  .object({
    nodeId: z.string(),
    at: timestamp,
    count: z.int(),
    kind: z.enum(["handshake", "event", "http", "page", "closing"]),
    code: z.string(),
    rule: z.string().optional(),
    detail: z.string().optional(),
    userId: z.string().optional(),
    sessionId: z.string().optional(),
    connectionId: z.string().optional(),
    address: z.string().optional(),
    caller: z.string().optional(),
    operation: z.string().optional(),
    channel: z.string().optional(),
    requestId: z.string().optional(),
  })
  .meta({ id: "RecordedReason" });
export const reasonsQuery = z.strictObject({
  kind: z.enum(["handshake", "event", "http", "page", "closing"]).optional(),
  code: filterText,
  user: userId.optional(),
  address: filterText,
  limit: limit(1_000, 100),
});
export const reasonsAnswer = z.object({ refusals: z.array(recordedReason), silent });

export const whyBody = z
  .strictObject({
    token: z.string().min(1).max(16_384).optional(),
    userId: userId.optional(),
    sessionId: sessionId.optional(),
    channel: channelName.optional(),
    act: z.enum(["subscribe", "publish"]).default("subscribe"),
  })
  .refine(
    ({ token, userId: user, sessionId: session }) =>
      [token, user, session].filter((one) => one !== undefined).length === 1,
    "must contain exactly one of token, userId and sessionId",
  );
export type WhyQuestion = z.output<typeof whyBody>;
const whyStep = z.object({ step: z.string(), ok: z.boolean(), detail: z.string() }).meta({ id: "WhyStep" });
export type WhyStep = z.output<typeof whyStep>;
export const whyAnswer = z.object({
  allowed: z.boolean(),
  code: z.string().optional(),
  userId: z.string().optional(),
  sessionId: z.string().optional(),
  steps: z.array(whyStep),
  refusals: z.array(recordedReason).meta({ description: "Recorded refusals of this user." }),
});

// Audit, settings

export const auditEntry = z
  .object({
    id: z.string(),
    at: timestamp,
    by: z.string().meta({ description: "Name of the operator or of the API key." }),
    via: z.enum(["operator", "api"]),
    act: z.string(),
    target: z.record(z.string(), z.unknown()),
    outcome: counts,
    address: z.string().optional(),
    requestId: z.string().optional(),
  })
  .meta({ id: "AuditEntry" });
export type AuditEntry = z.output<typeof auditEntry>;
export const auditQuery = z.strictObject({
  before: z
    .string()
    .regex(/^\d{1,20}-\d{1,20}$/, "is not the id of an entry")
    .optional(),
  limit: limit(1_000, 100),
});
export const auditAnswer = z.object({ entries: z.array(auditEntry) });

export const settingsAnswer = z.object({
  nodeId: z.string(),
  settings: z.array(z.object({ name: z.string(), value: z.unknown() })).meta({ description: "Secrets are masked." }),
  sources: z.object({
    environment: z.array(z.string()).meta({ description: "Variables that are set." }),
    file: z.array(z.string()).meta({ description: "Settings that are in the file; all others have their defaults." }),
  }),
  differences: z.array(z.object({ name: z.string(), values: z.record(z.string(), z.unknown()) })).meta({
    description: "Settings in which nodes differ, by node.",
  }),
  silent,
});
