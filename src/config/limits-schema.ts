import { z } from "zod";
import { socketDefaults } from "../connections/socket-options.ts";
import { maxIdlePerAddress } from "../http/idle-connections.ts";
import { defaultGateLimits } from "../protocol/gate.ts";
import type { WindowRule } from "../throttling/fixed-window.ts";
import { limitDefaults } from "../throttling/policies.ts";
import type { TokenBucketRule } from "../throttling/token-bucket.ts";
import { always, count, daySeconds, kindName, seconds } from "./values.ts";

/** Events of clients that can have a cost. */
export const clientEvents = [
  "subscribe",
  "unsubscribe",
  "publish",
  "history",
  "presence",
  "presence:set",
  "leaderboard:top",
  "leaderboard:around",
  "leaderboard:ranks",
  "leaderboard:submit",
  "order:get",
  "orders:list",
  "sessions:list",
  "sessions:revoke",
  "auth:refresh",
] as const;

const cost = z.number().min(0).max(1_000_000);
const costs = z.strictObject({
  ...(Object.fromEntries(clientEvents.map((event) => [event, cost.optional()])) as Record<
    (typeof clientEvents)[number],
    z.ZodOptional<typeof cost>
  >),
  publish: cost.default(limitDefaults.costs.publish),
  subscribe: cost.default(limitDefaults.costs.subscribe),
  history: cost.default(limitDefaults.costs.history),
});

/** Options of every limit; defaults are in `throttling/policies.ts`. */
const behaviour = {
  /** Counts and reports refusals without refusing. */
  shadow: z.boolean().optional(),
  /** While the store is away: everything passes, nothing does, or each node counts by itself. */
  whenStoreIsAway: z.enum(["open", "closed", "local"]).optional(),
};

/** Of a token in twelve days; a bucket that refills still slower would take longer than Redis keeps a key. */
const minRefillPerSecond = 0.000_001;
const refill = (most: number) => z.number().min(minRefillPerSecond).max(most);

const bucket = ({ capacity, refillPerSecond }: TokenBucketRule, most = 1_000_000) => ({
  ...behaviour,
  capacity: count(most).default(capacity),
  refillPerSecond: refill(most).default(refillPerSecond),
});

/** How nodes lease tokens in advance. */
const portion = z
  .strictObject({ share: z.number().min(0).max(1).optional(), lifeMs: z.int().min(100).max(60_000).optional() })
  .optional();

const leasedBucket = (rule: TokenBucketRule, most?: number) => ({ ...bucket(rule, most), portion });

const window = ({ requests, windowSeconds }: WindowRule) =>
  z
    .strictObject({
      ...behaviour,
      requests: count(100_000_000).default(requests),
      windowSeconds: seconds(daySeconds).default(windowSeconds),
    })
    .prefault({});

const messages = clientEvents.reduce(
  (limit, event) =>
    limit.refine((value) => !(value?.capacity > 0 && (value.costs?.[event] ?? 0) > value.capacity), {
      path: ["costs", event],
      error: "must be at most the capacity, or no request could ever be allowed",
      when: always,
    }),
  z.strictObject({
    ...leasedBucket(limitDefaults.messages),
    /** By client event; an event not named costs 1. */
    costs: costs.prefault({}),
    /** Refusals after which a connection is closed. */
    closeAfter: z.strictObject({ refusals: count(1_000_000), windowSeconds: seconds(daySeconds) }).optional(),
  }),
);

/** Part of a Redis key and of a path. */
const customName = z.string().regex(/^[\w.-]{1,64}$/, "must have 1 to 64 letters, digits, dots, dashes or underscores");

const fixedBucket = (most: number) => ({
  ...behaviour,
  capacity: count(most),
  refillPerSecond: refill(most),
});

const roleBucket = (most: number) => z.strictObject({ ...fixedBucket(most), portion }).optional();

/** Roles in the order in which they are tried. */
const roles = z.record(
  z.string().regex(/^[^\s]{1,256}$/, "must be a role"),
  z.strictObject({ messages: roleBucket(1_000_000), bytes: roleBucket(1_000_000_000) }),
);

const sessionWindow = z
  .strictObject({ ...behaviour, requests: count(100_000_000), windowSeconds: seconds(daySeconds) })
  .optional();

const custom = z.record(
  customName,
  z.union(
    [
      z.strictObject(fixedBucket(1_000_000)),
      z.strictObject({ ...behaviour, requests: count(100_000_000), windowSeconds: seconds(daySeconds) }),
    ],
    { error: "must be a token bucket (capacity, refillPerSecond) or a sliding window (requests, windowSeconds)" },
  ),
);

/** Limits of clients and backends. */
export const limits = z
  .strictObject({
    /** Token bucket of a user's messages. */
    messages: messages.prefault({}),
    /** Token bucket of the bytes of a user's messages; one of up to 1 kB is free. */
    bytes: z.strictObject(leasedBucket(limitDefaults.bytes, 1_000_000_000)).prefault({}),
    /** Token bucket of the bytes of a user's changes of state and ephemeral publications; each counts 256 at least. */
    ephemeral: z.strictObject(leasedBucket(limitDefaults.ephemeral, 1_000_000_000)).prefault({}),
    /** Token bucket of handshakes, per address. */
    handshakes: z.strictObject(leasedBucket(limitDefaults.handshakes)).prefault({}),
    /** Sliding window of HTTP calls, per API key. */
    http: window(limitDefaults.http),
    /** Fixed window of logins, per address and user. */
    logins: window(limitDefaults.logins),
    /** Sessions that backends create. */
    sessions: z.strictObject({ perUser: sessionWindow, perAddress: sessionWindow }).optional(),
    /** Token buckets of the messages and bytes of users with a role. */
    roles: roles.optional(),
    /** Token buckets of publications, per channel, by kind. */
    publications: z.record(kindName, z.strictObject(bucket(limitDefaults.publications))).optional(),
    /** Limits that backends use for their own purposes, by name. */
    custom: custom.optional(),
    connectionsPerUser: count(100_000).default(20),
    subscriptionsPerConnection: count(100_000).default(128),
    /** Connections to one node that have not authenticated yet. */
    unauthenticatedConnections: count(1_000_000).default(socketDefaults.maxPending),
    /** The same for one address (IPv6: one /64); a tenth of them by default. */
    unauthenticatedConnectionsPerAddress: count(1_000_000).optional(),
    /** Max HTTP connections without a request per address (IPv6: one /64) and node. */
    idleConnectionsPerAddress: count(1_000_000).default(maxIdlePerAddress),
    /** Of each channel whose kind has `state`. */
    state: z
      .strictObject({
        keysPerChannel: count(100_000).default(1_000),
        /** Bytes of all keys and values of a channel. */
        bytesPerChannel: count(16 * 1_048_576).default(262_144),
        keyBytes: count(1_024).default(256),
        valueBytes: count(1_048_576).default(8_192),
        /** How long the state is kept after its last change or subscription. */
        idleSeconds: z
          .int()
          .min(3_600)
          .max(366 * daySeconds)
          .default(30 * daySeconds),
      })
      .prefault({}),
    /** Largest client frame and HTTP publication. */
    payloadBytes: z
      .int()
      .min(1_024)
      .max(16 * 1_048_576)
      .default(defaultGateLimits.maxBytes),
    /** Bytes queued for one connection before it is closed as a slow consumer. */
    outboundQueueBytes: z.int().min(65_536).max(1_073_741_824).default(socketDefaults.outboundQueueBytes),
  })
  .superRefine(({ messages: { costs: each }, roles: byRole = {} }, context) => {
    const highest = Math.max(...Object.values(each).map((one) => one ?? 1));
    for (const [role, { messages: limit }] of Object.entries(byRole)) {
      if (limit === undefined || limit.capacity >= highest) continue;
      const message = "must be at least the highest of messages.costs, or no such request could ever be allowed";
      context.addIssue({ code: "custom", path: ["roles", role, "messages", "capacity"], message });
    }
  })
  .prefault({});
