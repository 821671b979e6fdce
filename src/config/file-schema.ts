import { z } from "zod";
import { builtInKinds } from "../protocol/names.ts";
import { defaultTransitions } from "./defaults.ts";
import { limits } from "./limits-schema.ts";
import { always, count, daySeconds, kindName, milliseconds, name, seconds } from "./values.ts";

/**
 * The JSON file named by GATEWAY_CONFIG. Every object is strict; what the file leaves out has its default here, save the
 * options of a channel kind, whose defaults depend on the kind and live in `channels/kinds.ts`.
 */

// Channels

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

// Tokens and sessions; the defaults are those of `auth/token-options.ts` and `auth/sessions.ts`

const longestLife = 366 * daySeconds;

const tokens = z
  .strictObject({
    /** Life of a token that the gateway issues. */
    tokenTtlSeconds: seconds(longestLife).optional(),
    /** Longest life that a token may claim. */
    maxLifeSeconds: seconds(longestLife).optional(),
    /** How far an issuer's clock may run ahead. */
    clockToleranceSeconds: z.int().min(0).max(5).optional(),
  })
  .prefault({});

const sessions = z
  .strictObject({
    /** Life of a session whose creator does not say. */
    sessionTtlSeconds: seconds(longestLife).optional(),
    /** Longest life a creator may ask for. */
    maxSessionTtlSeconds: seconds(longestLife).optional(),
    /** A session not seen for so long ends before its time. */
    sessionIdleSeconds: seconds(longestLife).optional(),
    /** Each new session looks at all of them where there are so many, so it stays a small number. */
    maxSessionsPerUser: count(1_000).optional(),
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
  tokens,
  sessions,
  webhooks: z.array(webhook).max(64).default([]),
});

export type ParsedFile = z.output<typeof configFile>;
