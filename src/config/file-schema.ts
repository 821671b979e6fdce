import { z } from "zod";
import { builtInKinds, isName } from "../protocol/names.ts";
import { defaultTransitions } from "./defaults.ts";

/**
 * The JSON file named by GATEWAY_CONFIG. Every object is strict; what the file leaves out has its default here, save the
 * options of a channel kind, whose defaults depend on the kind and live in `channels/kinds.ts`.
 */

const daySeconds = 86_400;

const count = (max: number) => z.int().min(1).max(max);
const milliseconds = (max: number) => z.int().min(0).max(max);
const seconds = (max: number) => z.int().min(1).max(max);
const name = z.string().refine(isName, "must be 1 to 256 characters without control characters");

// Channels

const kindName = name.refine((kind) => !kind.includes(":"), "a kind ends before the colon: it must not hold one");
const access = z.enum(["public", "granted", "none"]);

const channelKind = z.strictObject({
  subscribe: access.optional(),
  publish: access.optional(),
  presence: z.boolean().optional(),
  history: z
    .strictObject({
      size: z.int().min(0).max(100_000).default(100),
      ttlSeconds: z
        .int()
        .min(0)
        .max(30 * daySeconds)
        .default(300),
    })
    .optional(),
  conflateMs: milliseconds(60_000).optional(),
});

/** `when` lets a check run beside other mistakes, so that all are told at once; it then sees values of any shape. */
const always = () => true;

const channels = builtInKinds.reduce(
  (kinds, kind) =>
    kinds.refine((value) => value?.[kind]?.subscribe === undefined && value?.[kind]?.publish === undefined, {
      path: [kind],
      error: "who may subscribe and publish is fixed for a built-in kind; only its other options may be tuned",
      when: always,
    }),
  z.record(kindName, channelKind),
);

// Leaderboards

const board = z.strictObject({
  /** Whether high or low scores lead. */
  order: z.enum(["desc", "asc"]).default("desc"),
  /** What a new score does to the old one. */
  mode: z.enum(["best", "last", "increment"]).default("best"),
  /** Entries in the snapshot and its diffs. */
  top: count(1_000).default(10),
  /** Shortest time between two diffs. */
  tickMs: z.int().min(10).max(60_000).default(100),
  season: z.enum(["none", "daily", "weekly", "monthly"]).default("none"),
  /** Whether clients may submit scores themselves. */
  clientWrites: z.boolean().default(false),
});

// Orders

const status = name;

const orders = z
  .strictObject({
    /** From each status, the statuses an order may move to. */
    transitions: z.record(status, z.array(status).max(256)).default(defaultTransitions),
    /** How long an event that came too early waits for the one before it. */
    reorderWindowMs: milliseconds(10 * 60_000).default(5_000),
  })
  .prefault({});

// Bridges

const bridge = z.strictObject({
  /** Redis pub/sub channel, or a pattern as PSUBSCRIBE reads it. */
  pattern: name,
  /** Gateway channel; `{field}` is taken from the message. */
  channel: name,
  event: name,
});

// Limits

/** What a client can ask for, and so what can have a cost. */
export const clientEvents = [
  "subscribe",
  "unsubscribe",
  "publish",
  "history",
  "presence",
  "leaderboard:top",
  "leaderboard:around",
  "leaderboard:submit",
  "order:get",
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
  publish: cost.default(1),
  subscribe: cost.default(1),
  history: cost.default(5),
});

const messages = clientEvents.reduce(
  (bucket, event) =>
    bucket.refine((value) => !(value?.capacity > 0 && (value.costs?.[event] ?? 0) > value.capacity), {
      path: ["costs", event],
      error: "can never be paid: it is more than the capacity",
      when: always,
    }),
  z.strictObject({
    capacity: count(1_000_000).default(50),
    refillPerSecond: z.number().positive().max(1_000_000).default(20),
    /** By client event; an event not named costs 1. */
    costs: costs.prefault({}),
  }),
);

const limits = z
  .strictObject({
    /** Token bucket of a user's messages. */
    messages: messages.prefault({}),
    /** Token bucket of handshakes, per address. */
    handshakes: z
      .strictObject({
        capacity: count(1_000_000).default(500),
        refillPerSecond: z.number().positive().max(1_000_000).default(100),
      })
      .prefault({}),
    /** Sliding window of HTTP calls, per API key. */
    http: z
      .strictObject({
        requests: count(100_000_000).default(60_000),
        windowSeconds: seconds(daySeconds).default(60),
      })
      .prefault({}),
    /** Fixed window of logins, per address and user. */
    logins: z
      .strictObject({
        requests: count(1_000_000).default(5),
        windowSeconds: seconds(daySeconds).default(900),
      })
      .prefault({}),
    connectionsPerUser: count(100_000).default(20),
    subscriptionsPerConnection: count(100_000).default(128),
    /** Largest client frame and HTTP publication. */
    payloadBytes: z
      .int()
      .min(1_024)
      .max(16 * 1_048_576)
      .default(65_536),
    /** Bytes queued for one connection before it is closed as a slow consumer. */
    outboundQueueBytes: z.int().min(65_536).max(1_073_741_824).default(1_048_576),
  })
  .prefault({});

// Webhooks

export const webhookEvents = [
  "session.connected",
  "session.disconnected",
  "channel.occupied",
  "channel.vacated",
  "order.status",
] as const;

const webhook = z.strictObject({
  url: z.string().max(2_048).refine(isWebAddress, "must be an https:// or http:// address"),
  /** Signs each delivery. */
  secret: z.string().min(1).max(512),
  events: z.array(z.enum(webhookEvents)).min(1).max(webhookEvents.length),
});

function isWebAddress(value: string): boolean {
  return URL.canParse(value) && ["https:", "http:"].includes(new URL(value).protocol);
}

export const configFile = z.strictObject({
  channels: channels.optional(),
  leaderboards: z.record(name, board).optional(),
  orders,
  bridges: z.array(bridge).max(256).optional(),
  limits,
  webhooks: z.array(webhook).max(64).default([]),
});

export type ParsedFile = z.output<typeof configFile>;
