import { z } from "zod";
import { isChannelPattern } from "./names.ts";
import {
  channelPrefix,
  clientAddress,
  clientChannelName,
  connectionId,
  eventName,
  idempotencyKey,
  nodeId,
  queuedBytes,
  sessionId,
  timestamp,
  futureTimestamp,
  timestampOfBackend,
  userId,
  ownCode,
} from "./scalars.ts";

/** Schemas of logins and tokens: the client's events, the backend's calls, and what both are answered. */

/** Most roles of a login, and most patterns of one kind of grant. */
export const maxGrants = 64;

/** Roles and grants travel in each token of a session, and a token may have 8 kB. */
const maxGrantBytes = 4_096;

const maxDataBytes = 4_096;

/** Longer than any configured life; which one holds is the room's to say. */
const maxTtlSeconds = 366 * 86_400;

/** Longest token or message a schema lets through; what is too long for a token is refused by the verifier. */
const tokenText = z.string().min(1).max(16_384);

const byteLength = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

// What clients send

/** Client event `auth:refresh`. */
export const authRefreshMessage = z.strictObject({
  token: tokenText.meta({ description: "The new token, of the same user and session." }),
});

/** Client event `sessions:list`. */
export const sessionsListMessage = z.strictObject({});

/** Client event `sessions:revoke`: one session, or all others than the one that asks. */
export const sessionsRevokeMessage = z
  .strictObject({
    sessionId: sessionId.optional().meta({ description: "The session to revoke, one of the user's own." }),
    others: z
      .literal(true)
      .optional()
      .meta({ description: "Revoke all sessions of the user but this one; in place of `sessionId`." }),
  })
  .refine(
    (one) => (one.sessionId === undefined) !== (one.others === undefined),
    "must contain sessionId or others: true",
  )
  .meta({ examples: [{ others: true }] });

// What backends send

const roles = z
  .array(eventName.meta({ examples: ["support"] }))
  .max(maxGrants)
  .meta({ description: "Names of roles, for rules such as `role:support`; included in the session's tokens." });
const patterns = z
  .array(channelPrefix.refine(isChannelPattern, "must have a * only at its end"))
  .max(maxGrants)
  .meta({ description: "Channel names; a trailing `*` matches any rest of a name.", examples: [["news:*"]] });

const channelGrants = z
  .strictObject({ subscribe: patterns.optional(), publish: patterns.optional() })
  .meta({ description: "Channels of granted kinds that the session may use." });

const jsonObject = z
  .record(z.string(), z.unknown())
  .refine((value) => byteLength(value) <= maxDataBytes, `must be at most ${maxDataBytes} bytes of JSON`);

const data = jsonObject.meta({
  description: "Stored with the session for backends; never sent to clients.",
  examples: [{ device: "tv" }],
});
const info = jsonObject.meta({
  description: "Public part of the session: other clients see it with what this one publishes, and in presence.",
  examples: [{ name: "Ada" }],
});

const ttlSeconds = z.int().min(1).max(maxTtlSeconds);

export function checkGrantBytes(
  { roles: given, channels }: { roles?: unknown; channels?: unknown },
  context: z.core.$RefinementCtx,
): void {
  if (byteLength({ roles: given, channels }) <= maxGrantBytes) return;
  const message = `must be at most ${maxGrantBytes} bytes of JSON together with roles`;
  context.addIssue({ code: "custom", path: ["channels"], message });
}

/** Body of `POST /v1/sessions`. */
export const createSessionBody = z
  .strictObject({
    userId: userId.meta({ description: "The user who signs in.", examples: ["ada"] }),
    roles: roles.optional(),
    channels: channelGrants.optional(),
    data: data.optional(),
    info: info.optional(),
    ttlSeconds: ttlSeconds.optional().meta({
      description:
        "Lifetime of the session in seconds; its tokens never outlive it. With `idleSeconds` its upper bound.",
    }),
    idleSeconds: ttlSeconds.optional().meta({
      description: "Ends the session after so many seconds without a handshake or message, instead of at a fixed time.",
    }),
    address: z
      .union([z.ipv4(), z.ipv6()], "must be an IP address")
      .optional()
      .meta({ description: "The client's address, for `limits.sessions.perAddress`; it is not stored." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .superRefine(checkGrantBytes)
  .meta({ id: "CreateSession" });

/** A login that an app answers with instead of a token. */
export const appLogin = z
  .strictObject({
    userId,
    roles: roles.optional(),
    channels: channelGrants.optional(),
    info: info.optional(),
    ttlSeconds: ttlSeconds.optional(),
  })
  .superRefine(checkGrantBytes);

/** Fields of a change of a session, over HTTP and as a command. */
export const updateSessionFields = {
  roles: roles.optional(),
  channels: channelGrants.optional().meta({ description: "Replaces all grants of the session." }),
  data: data.optional(),
  info: info.optional(),
  ttlSeconds: ttlSeconds.optional().meta({ description: "Ends the session so many seconds from now." }),
  idempotencyKey: idempotencyKey.optional(),
};

/** Body of `PATCH /v1/sessions/{sessionId}`: what it names is replaced, the rest stays. */
export const updateSessionBody = z
  .strictObject(updateSessionFields)
  .superRefine(checkGrantBytes)
  .meta({ id: "UpdateSession" });

/** Body of `POST /v1/sessions/{sessionId}/refresh`; may be left out. */
export const refreshSessionBody = z
  .strictObject({
    ttlSeconds: ttlSeconds
      .optional()
      .meta({ description: "Seconds from now. Default: the lifetime with which the session was created." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .optional()
  .meta({ id: "RefreshSession" });

/** Body of `POST /v1/users/{userId}/subscribe` and `/unsubscribe`. */
export const userChannelBody = z
  .strictObject({
    channel: clientChannelName,
    idempotencyKey: idempotencyKey.optional(),
  })
  .meta({ id: "UserChannel" });

const maxReasonBytes = 1_024;

/** Body of `PUT /v1/users/{userId}/block`; may be left out. */
export const blockUserBody = z
  .strictObject({
    until: futureTimestamp
      .optional()
      .meta({ description: "When the block ends: a time in the future, in epoch milliseconds. Default: never." }),
    reason: z
      .string()
      .max(maxReasonBytes)
      .optional()
      .meta({ description: "Kept for operators; never sent to clients." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .optional()
  .meta({ id: "BlockUser" });

/** Body of `POST /v1/sessions/{sessionId}/token`; may be left out. */
export const issueTokenBody = z
  .strictObject({ idempotencyKey: idempotencyKey.optional() })
  .optional()
  .meta({ id: "IssueToken" });

/** Path of everything about one session. */
export const sessionParams = z.strictObject({
  sessionId: sessionId.meta({
    description:
      "The session's id, from the response that created it; of an adopted session also its provider's `sid`.",
  }),
});

/** Path of everything about one user. */
export const userParams = z.strictObject({ userId: userId.meta({ description: "URL-encoded.", examples: ["ada"] }) });

/** Body of `POST /v1/tokens/revoke`: a token, or what is known of it. */
export const revokeTokenBody = z
  .strictObject({
    token: tokenText.optional().meta({ description: "The token itself; it may have expired." }),
    userId: userId.optional().meta({ description: "Revokes tokens of this user. Requires `issuedBefore`." }),
    issuedBefore: timestampOfBackend
      .optional()
      .meta({ description: "Revokes the user's tokens issued before this time, in epoch milliseconds." }),
    jti: eventName.optional().meta({ description: "The token's `jti`. Requires `expiresAt`." }),
    expiresAt: timestampOfBackend
      .optional()
      .meta({ description: "When the token expires, in epoch milliseconds. Requires `jti`." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .refine(namesOneToken, "must contain token, or jti and expiresAt, or userId and issuedBefore")
  .meta({ id: "RevokeToken" });
export type RevokeTokenBody = z.output<typeof revokeTokenBody>;

/** Exactly one of the three forms. */
function namesOneToken(
  body: Partial<Record<"token" | "jti" | "expiresAt" | "userId" | "issuedBefore", unknown>>,
): boolean {
  const forms = [["token"], ["jti", "expiresAt"], ["userId", "issuedBefore"]] as const;
  const given = Object.entries(body).filter(([name, value]) => value !== undefined && name !== "idempotencyKey");
  return forms.some((form) => given.length === form.length && form.every((name) => body[name] !== undefined));
}

/** Body of `POST /v1/users/{userId}/disconnect`; may be left out. */
export const disconnectBody = z
  .strictObject({
    code: ownCode.optional().meta({
      description: "A closing code, or one of your own. Default: `disconnected_by_backend`.",
    }),
    message: eventName.optional().meta({ description: "Human-readable message. Default: the message of the code." }),
    reconnect: z
      .boolean()
      .optional()
      .meta({ description: "Whether the client should reconnect. Default: the value of the code." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .optional()
  .meta({ id: "Disconnect" });

// What they are answered

const token = z
  .string()
  .nullable()
  .meta({ description: "A signed token; null if the gateway has no signing key and the backend signs tokens itself." });
const tokenEnd = timestamp.meta({
  description: "When the token expires, or when the session ends if `token` is null.",
});
const sessionEnd = timestamp.meta({ description: "When the session ends." });
const connections = z.int().min(0).meta({ description: "Open connections across all nodes." });

/** Answer of `POST /v1/sessions`. */
export const sessionCreated = z.strictObject({ sessionId, token, expiresAt: tokenEnd }).meta({ id: "SessionCreated" });

/** Answer of `POST /v1/sessions/{sessionId}/token`. */
export const tokenIssued = z.strictObject({ token, expiresAt: tokenEnd }).meta({ id: "TokenIssued" });

const entryFields = {
  sessionId,
  createdAt: timestamp.meta({ description: "When the session was created." }),
  lastSeenAt: timestamp.meta({ description: "Time of the last authentication, rounded to the minute." }),
  userAgent: z.string().optional().meta({ description: "User-Agent of the client that authenticated last." }),
  connections,
};

/** Answer of `auth:refresh`. */
export const authRefreshed = z.strictObject({
  expiresAt: timestamp.meta({ description: "When the new token expires." }),
});

/** Answer of `sessions:list`. */
export const sessionsListAnswer = z.strictObject({
  sessions: z
    .array(
      z.strictObject({
        ...entryFields,
        current: z.boolean().meta({ description: "Whether it is the session of this connection." }),
      }),
    )
    .meta({ description: "The user's live sessions, oldest first." }),
});
export type SessionsListAnswer = z.output<typeof sessionsListAnswer>;

export const session = z
  .strictObject({
    ...entryFields,
    userId,
    expiresAt: sessionEnd,
    roles: z.array(z.string()).meta({ description: "Names of roles." }),
    channels: z
      .strictObject({ subscribe: z.array(z.string()), publish: z.array(z.string()) })
      .meta({ description: "Channels of granted kinds that the session may use." }),
    granted: z.array(z.string()).optional().meta({ description: "Channels granted by subscribing the user to them." }),
    data: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({ description: "What the backend stored with the session; absent if nothing." }),
    info: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({ description: "The public part of the session; absent if there is none." }),
    idleSeconds: z
      .number()
      .optional()
      .meta({ description: "Seconds without a handshake or message that end the session; absent if none do." }),
  })
  .meta({ id: "Session" });
export type SessionAnswer = z.output<typeof session>;

/** Answer of `GET /v1/users/{userId}/sessions`, oldest first. */
export const userSessionsAnswer = z.strictObject({ sessions: z.array(session) });
export type UserSessionsAnswer = z.output<typeof userSessionsAnswer>;

const disconnectionFields = {
  disconnected: z.int().min(0).meta({ description: "Number of closed connections." }),
  nodes: z.int().min(0).meta({ description: "Number of nodes asked." }),
  acknowledged: z
    .int()
    .min(0)
    .meta({ description: "Number of nodes that confirmed; if it equals `nodes`, every connection is closed." }),
};

/** How many nodes were asked, and how many confirmed. */
export const confirmations = {
  nodes: disconnectionFields.nodes,
  acknowledged: disconnectionFields.acknowledged,
};
const { nodes, acknowledged } = confirmations;

/** Answer of `GET /v1/sessions/{sessionId}`. */
export const sessionAnswer = z.strictObject({ session });

/** Answer of `PATCH /v1/sessions/{sessionId}`. */
export const sessionUpdated = z
  .strictObject({ session: session.meta({ description: "As it is now." }), nodes, acknowledged })
  .meta({ id: "SessionUpdated" });

/** Answer of `POST /v1/sessions/{sessionId}/refresh`. */
export const sessionRefreshed = z.strictObject({ expiresAt: sessionEnd }).meta({ id: "SessionRefreshed" });

export const userConnection = z
  .strictObject({
    connectionId,
    nodeId,
    sessionId,
    address: clientAddress,
    userAgent: z.string().meta({ description: "As the client sent it; empty if it sent none." }),
    connectedAt: timestamp.meta({ description: "When the connection was made." }),
    channels: z.array(z.string()).meta({ description: "Subscribed channels." }),
    queuedBytes,
  })
  .meta({ id: "UserConnection" });

/** Answer of `GET /v1/users/{userId}/connections`. */
export const userConnectionsAnswer = z.strictObject({ connections: z.array(userConnection), ...confirmations });

/** Answer of `POST /v1/users/{userId}/subscribe` and `/unsubscribe`. */
export const userChannelAnswer = z
  .strictObject({
    connections: z.int().min(0).meta({ description: "Connections of the user, on the nodes that confirmed." }),
    nodes,
    acknowledged,
  })
  .meta({ id: "UserChannelAnswer" });

/** Answer of everything that ends logins or tokens. */
export const revocationAnswer = z
  .strictObject({
    revoked: z.int().min(0).meta({ description: "Number of sessions or tokens that were valid until now." }),
    ...disconnectionFields,
  })
  .meta({ id: "Revocation" });

/** Answer of `POST /v1/users/{userId}/disconnect`. */
export const disconnectionAnswer = z.strictObject(disconnectionFields).meta({ id: "Disconnection" });
