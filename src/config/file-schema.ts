import { z } from "zod";
import { sessionDefaults } from "../auth/sessions.ts";
import { tokenDefaults } from "../auth/token-options.ts";
import { kindDefaults } from "../channels/kinds.ts";
import { idempotencyDefaults } from "../channels/publication.ts";
import { socketDefaults } from "../connections/socket-options.ts";
import { boardDefaults } from "../leaderboards/boards.ts";
import { orderDefaults } from "../orders/order-options.ts";
import { maxPartitions } from "../protocol/command-subject.ts";
import { commandTypes } from "../protocol/commands.ts";
import { builtInKinds } from "../protocol/names.ts";
import { webhookEvents } from "../protocol/webhooks.ts";
import { defaultTransitions } from "./defaults.ts";
import { hookTypes } from "../protocol/hooks.ts";
import { limits } from "./limits-schema.ts";
import {
  always,
  count,
  daySeconds,
  hasReadableLogin,
  kindName,
  milliseconds,
  name,
  seconds,
  unreadableLogin,
} from "./values.ts";

/**
 * The JSON file named by GATEWAY_CONFIG. Every object is strict; what the file leaves out has its default here, save the
 * options of a channel kind, whose defaults depend on the kind and live in `channels/kinds.ts`. The defaults themselves are those
 * of the rooms.
 */

// Channels

const rule = z.union(
  [z.enum(["public", "granted", "hook", "none"]), z.templateLiteral(["role:", z.string().regex(/^[^\s]{1,256}$/)])],
  { error: "must be public, granted, role:NAME, hook or none, or a list of these" },
);

const rules = z.union(
  [
    rule,
    z
      .array(rule)
      .min(1)
      .max(32)
      .refine((list) => list.length === 1 || !list.includes("none"), "none must be the only rule"),
  ],
  { error: "must be public, granted, role:NAME, hook or none, or a list of these" },
);

const channelKind = z.strictObject({
  subscribe: rules.optional(),
  publish: rules.optional(),
  presence: z.boolean().optional(),
  state: z.boolean().optional(),
  history: z
    .strictObject({
      size: z.int().min(0).max(100_000).default(kindDefaults.history.size),
      ttlSeconds: z
        .int()
        .min(0)
        .max(30 * daySeconds)
        .default(kindDefaults.history.ttlSeconds),
    })
    .optional(),
  conflateMs: milliseconds(60_000).optional(),
  deliver: z.enum(["publication", "event"]).optional(),
  merge: z.literal("append").optional(),
});

type ChannelKindInput = z.infer<typeof channelKind>;

/** The channels of built-in kinds are private; a word for everybody would open them by accident. */
const isRoleBased = (value: unknown): boolean =>
  [value ?? []].flat().every((word) => typeof word !== "string" || /^(?:hook|none|role:.*)$/s.test(word));

/** The joined text is the snapshot, lives as long as the log, and would lack what conflation leaves out. */
function checkMerge(
  kind: string,
  { state, conflateMs = 0, history }: ChannelKindInput,
  context: z.RefinementCtx,
): void {
  const refuse = (message: string) => context.addIssue({ code: "custom", path: [kind, "merge"], message });
  if ((builtInKinds as readonly string[]).includes(kind)) refuse("is not available for this kind");
  if (state === true) refuse("cannot be combined with state");
  if (conflateMs > 0) refuse("cannot be combined with conflateMs");
  if (history?.ttlSeconds === 0) refuse("needs a history.ttlSeconds above 0");
}

const channels = builtInKinds
  .reduce(
    (kinds, kind) =>
      kinds.refine((value) => isRoleBased(value?.[kind]?.subscribe) && isRoleBased(value?.[kind]?.publish), {
        path: [kind],
        error: "subscribe and publish of a built-in kind may only add role:NAME or hook to its own rule",
        when: always,
      }),
    z.record(kindName, channelKind),
  )
  .superRefine((kinds, context) => {
    // Their snapshot is what they are about.
    for (const kind of ["order", "orders", "leaderboard", "rank"])
      if (kinds[kind]?.state === true)
        context.addIssue({ code: "custom", path: [kind, "state"], message: "is not available for this kind" });
    for (const [kind, options] of Object.entries(kinds))
      if (options.merge !== undefined) checkMerge(kind, options, context);
  });

// Leaderboards

const board = z.strictObject({
  /** Whether high or low scores lead. */
  order: z.enum(["desc", "asc"]).default(boardDefaults.order),
  /** What a new score does to the old one. */
  mode: z.enum(["best", "last", "increment"]).default(boardDefaults.mode),
  /** Entries in the snapshot and its diffs. */
  top: count(1_000).default(boardDefaults.top),
  /** Shortest time between two diffs. */
  tickMs: z.int().min(10).max(60_000).default(boardDefaults.tickMs),
  season: z.enum(["none", "daily", "weekly", "monthly"]).default(boardDefaults.season),
  /** How long a past season can be read. */
  archiveTtlSeconds: seconds(10 * 366 * daySeconds).exactOptional(),
  /** How long a board without seasons is kept after its last score; `"*"` has a default. */
  ttlSeconds: seconds(10 * 366 * daySeconds).exactOptional(),
  /** Allows clients to submit scores. */
  clientWrites: z.boolean().default(boardDefaults.clientWrites),
});

// Orders

const transitions = z
  .record(name, z.array(name).max(256))
  .refine((statuses) => Object.keys(statuses).length > 0, "must contain at least the initial status");

/** Defaults of optional settings are in `orders/orders.ts`. */
const orders = z
  .strictObject({
    /** The allowed next statuses of each status; orders begin with the first. */
    transitions: transitions.default(defaultTransitions),
    /** By status: the max time an order may stay in it, and the status it moves to then. */
    timeouts: z.record(name, z.strictObject({ afterSeconds: seconds(366 * daySeconds), to: name })).default({}),
    /** How long an event that came too early waits for the one before it. */
    reorderWindowMs: milliseconds(10 * 60_000).default(orderDefaults.reorderWindowMs),
    /** Early events held per order. */
    maxHeld: count(1_000).exactOptional(),
    /** Open orders in a user's list. */
    maxOpen: count(10_000).exactOptional(),
    /** Life of an order after its last event. */
    lifeSeconds: seconds(366 * daySeconds).exactOptional(),
    /** Life of an order after it has ended. */
    endedLifeSeconds: seconds(366 * daySeconds).exactOptional(),
    timelineSize: count(10_000).exactOptional(),
    /** Bytes of a timeline; its last entry is always kept. */
    timelineBytes: count(16 * 1_048_576).exactOptional(),
    /** Event ids by which repeats are known, per order. */
    seenIds: count(100_000).exactOptional(),
    /** Shortest time between two publications of one signal. */
    signalEveryMs: milliseconds(60_000).exactOptional(),
    /** Names of signals per order. */
    signalNames: count(1_000).exactOptional(),
  })
  .superRefine(({ timeouts, transitions: allowed }, context) => {
    for (const [from, { to }] of Object.entries(timeouts)) {
      if (Object.hasOwn(allowed, from) && allowed[from]?.includes(to) === true) continue;
      context.addIssue({ code: "custom", path: ["timeouts", from, "to"], message: `must be a transition of ${from}` });
    }
  })
  .prefault({});

// Commands; defaults of optional settings are in `commands/`

const commands = z
  .strictObject({
    /** How often a command is tried before it becomes a dead letter. */
    tries: count(100).exactOptional(),
    /** Before the second try; doubled for each that follows. */
    firstPauseMs: milliseconds(60_000).exactOptional(),
    longestPauseMs: milliseconds(600_000).exactOptional(),
    /** After which another node takes over from one that is heard of no more. */
    leaseMs: z.int().min(500).max(60_000).exactOptional(),
    /** Of the commands stream; each has its own slot, and its own leader. */
    partitions: count(maxPartitions).exactOptional(),
    /** Entries read and not yet done with. */
    maxInFlight: count(100_000).exactOptional(),
    /** How long a delivery is remembered; at least an hour, because a repeat may come after an outage. */
    deduplicationSeconds: z
      .int()
      .min(3_600)
      .max(30 * daySeconds)
      .default(idempotencyDefaults.deliveryTtlSeconds),
  })
  .prefault({});

/** How long the answer to an idempotency key is remembered. */
const idempotency = z
  .strictObject({ ttlSeconds: seconds(30 * daySeconds).default(idempotencyDefaults.ttlSeconds) })
  .prefault({});

/** How long after a disconnect a stock client can recover with Socket.IO's connection state recovery. */
const recovery = z.strictObject({ windowSeconds: seconds(daySeconds).default(120) }).prefault({});

/** How often a client is pinged, and how long it may take to answer. */
const heartbeat = z
  .strictObject({
    pingIntervalMs: z.int().min(100).max(600_000).default(socketDefaults.pingIntervalMs),
    pingTimeoutMs: z.int().min(100).max(600_000).default(socketDefaults.pingTimeoutMs),
  })
  .prefault({});

// Bridges

const bridge = z
  .strictObject({
    /** Redis pub/sub channel, or a pattern as PSUBSCRIBE reads it. */
    pattern: name,
    /** Gateway channels; `{field}` is taken from the message. */
    channel: z.union([name, z.array(name).min(1).max(16)], "must be a channel or a list of channels").exactOptional(),
    event: name.exactOptional(),
    /** Instead of both: the command to run with the message. */
    command: z.enum(commandTypes).exactOptional(),
  })
  .superRefine((value, context) => {
    for (const field of ["channel", "event"] as const) {
      if ((value[field] === undefined) === (value.command !== undefined)) continue;
      const message = value.command === undefined ? "is required" : "must be omitted if `command` is set";
      context.addIssue({ code: "custom", path: [field], message });
    }
  });

// Tokens and sessions

const maxLifeSeconds = 366 * daySeconds;

const claimName = z.string().min(1).max(256);

const tokens = z
  .strictObject({
    /** Life of a token that the gateway issues. */
    tokenTtlSeconds: seconds(maxLifeSeconds).default(tokenDefaults.tokenTtlSeconds),
    /** Max lifetime that a token may claim. */
    maxLifeSeconds: seconds(maxLifeSeconds).default(tokenDefaults.maxLifeSeconds),
    /** Max difference of an issuer's clock. */
    clockToleranceSeconds: z.int().min(0).max(5).default(tokenDefaults.clockToleranceSeconds),
    /** Tokens of an identity provider begin their sessions. */
    adopt: z.boolean().default(tokenDefaults.adopt),
    claims: z
      .strictObject({ roles: claimName.optional(), channels: claimName.optional(), info: claimName.optional() })
      .exactOptional(),
  })
  .refine((value) => !(value?.tokenTtlSeconds > value?.maxLifeSeconds), {
    path: ["tokenTtlSeconds"],
    error: "must be at most maxLifeSeconds, or the gateway would refuse its own tokens",
    when: always,
  })
  .prefault({});

const sessions = z
  .strictObject({
    /** Life of a session whose creator does not say. */
    sessionTtlSeconds: seconds(maxLifeSeconds).default(sessionDefaults.sessionTtlSeconds),
    /** Max lifetime that a backend may request. */
    maxSessionTtlSeconds: seconds(maxLifeSeconds).default(sessionDefaults.maxSessionTtlSeconds),
    /** A session not seen for so long ends before its time; longer than tokens live, see the end of this file. */
    sessionIdleSeconds: seconds(maxLifeSeconds).default(sessionDefaults.sessionIdleSeconds),
    /** Small, because a new session reads all others if the limit is reached. */
    maxSessionsPerUser: count(1_000).default(sessionDefaults.maxSessionsPerUser),
  })
  .prefault({});

// Webhooks

const webAddress = z
  .string()
  .max(2_048)
  .refine(isWebAddress, "must be an https:// or http:// URL")
  .refine(hasReadableLogin, unreadableLogin);

const oneSecret = z.string().min(1).max(512).refine(isSecret, "must be whsec_ followed by base64");
/** Several during rotation: each delivery has a signature with each. */
const signingSecret = z.union([oneSecret, z.array(oneSecret).min(1).max(4)]);

/** Defaults of optional settings are in `webhooks/endpoints.ts`. */
const webhook = z.strictObject({
  url: webAddress,
  /** Signs each delivery: a text, or `whsec_` and the key in base64. */
  secret: signingSecret,
  events: z.array(z.enum(webhookEvents)).min(1).max(webhookEvents.length),
  /** How often a delivery is tried before it becomes a dead letter. */
  tries: count(100).exactOptional(),
  /** Before the second try; doubled for each that follows. */
  firstPauseMs: milliseconds(60_000).exactOptional(),
  longestPauseMs: milliseconds(86_400_000).exactOptional(),
  /** Max time for a receiver to respond. */
  timeoutMs: z.int().min(100).max(60_000).exactOptional(),
});

// App

const app = z.strictObject({
  url: webAddress,
  /** Signs each request: a text, or `whsec_` and the key in base64. */
  secret: signingSecret,
  /** Max time for the app to answer. */
  timeoutMs: z.int().min(100).max(60_000).default(5_000),
  /** Events to forward, by name; `*` forwards all others. Each takes `cost` tokens of the user's messages. */
  events: z
    .record(z.string().min(1).max(128), z.strictObject({ cost: z.number().min(0).max(1_000_000).exactOptional() }))
    .default({ "*": {} }),
  /** What the app is asked before it happens. */
  hooks: z.array(z.enum(hookTypes)).max(hookTypes.length).default([]),
  /** Socket.IO namespaces in addition to the main one. */
  namespaces: z
    .array(z.string().regex(/^\/[^\s,?#]{1,63}$/, "must be a slash and a name, such as /admin"))
    .max(64)
    .default([]),
  /** Headers of a client's handshake that the app is sent. */
  headers: z
    .array(
      z
        .string()
        .regex(/^[\w-]{1,64}$/, "must be the name of a header")
        .toLowerCase()
        .refine((name) => name !== "authorization", "must not be authorization, which carries tokens"),
    )
    .max(32)
    .default(["cookie", "origin", "accept-language"]),
});

function isSecret(value: string): boolean {
  return /^(?!whsec_)|^whsec_(?:[\w+/-]{4})*[\w+/-]{2,4}={0,2}$/.test(value);
}

function isWebAddress(value: string): boolean {
  return URL.canParse(value) && ["https:", "http:"].includes(new URL(value).protocol);
}

/**
 * A session counts as seen when a connection sends a token, recorded at most once a minute; the token may have been
 * issued a few seconds earlier.
 */
const seenLateSeconds = 65;

export const configFile = z
  .strictObject({
    /** For editors; names the schema of the file. */
    $schema: z.string().optional(),
    channels: channels.optional(),
    leaderboards: z.record(name, board).optional(),
    orders,
    commands,
    idempotency,
    recovery,
    heartbeat,
    bridges: z.array(bridge).max(256).optional(),
    limits,
    tokens,
    sessions,
    webhooks: z.array(webhook).max(64).default([]),
    app: app.optional(),
  })
  .refine((value) => !(value?.sessions?.sessionIdleSeconds < value?.tokens?.maxLifeSeconds + seenLateSeconds), {
    path: ["sessions", "sessionIdleSeconds"],
    error:
      `must be at least ${seenLateSeconds} more than tokens.maxLifeSeconds: ` +
      "otherwise the session of an open connection could end and no longer be revoked",
    when: always,
  })
  .superRefine(checkAppCosts);

interface FileToCheck {
  app?: z.output<typeof app> | undefined;
  limits: z.output<typeof limits>;
}

/** A message that costs more than a full bucket holds could never be sent. */
function checkAppCosts({ app: forwarded, limits: { messages, roles } }: FileToCheck, context: z.RefinementCtx): void {
  const buckets = [messages, ...Object.values(roles ?? {}).flatMap((role) => role.messages ?? [])];
  const least = Math.min(...buckets.map(({ capacity }) => capacity));
  for (const [event, { cost = 0 }] of Object.entries(forwarded?.events ?? {}))
    if (cost > least) {
      const message = `must be at most the capacity of limits.messages, also by role (${least}), or it could never be allowed`;
      context.addIssue({ code: "custom", path: ["app", "events", event, "cost"], message });
    }
}

export type ParsedFile = z.output<typeof configFile>;
