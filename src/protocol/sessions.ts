import { z } from "zod";
import { closingCatalogue, type ClosingCode } from "./closings.ts";
import { channelName, eventName, idempotencyKey, sessionId, timestamp, userId } from "./scalars.ts";

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
export const authRefreshMessage = z.strictObject({ token: tokenText });

/** Client event `sessions:list`. */
export const sessionsListMessage = z.strictObject({});

/** Client event `sessions:revoke`: one session, or all others than the one that asks. */
export const sessionsRevokeMessage = z
  .strictObject({ sessionId: sessionId.optional(), others: z.literal(true).optional() })
  .refine(
    (one) => (one.sessionId === undefined) !== (one.others === undefined),
    "must contain sessionId or others: true",
  );

// What backends send

const roleName = eventName.meta({ examples: ["support"] });
const patterns = z
  .array(channelName)
  .max(maxGrants)
  .meta({ description: "Channel names; a trailing `*` matches any rest of a name.", examples: [["news:*"]] });

/** Body of `POST /v1/sessions`. */
export const createSessionBody = z
  .strictObject({
    userId: userId.meta({ description: "The user who signs in.", examples: ["ada"] }),
    roles: z.array(roleName).max(maxGrants).optional().meta({ description: "Included in the session's tokens." }),
    channels: z
      .strictObject({ subscribe: patterns.optional(), publish: patterns.optional() })
      .optional()
      .meta({ description: "Channels of granted kinds that the session may use." }),
    data: z
      .record(z.string(), z.unknown())
      .refine((data) => byteLength(data) <= maxDataBytes, `must be at most ${maxDataBytes} bytes of JSON`)
      .optional()
      .meta({
        description: "Stored with the session for backends; never sent to clients.",
        examples: [{ device: "tv" }],
      }),
    ttlSeconds: z
      .int()
      .min(1)
      .max(maxTtlSeconds)
      .optional()
      .meta({ description: "Lifetime of the session in seconds; its tokens never outlive it." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .superRefine(({ roles, channels }, context) => {
    if (byteLength({ roles, channels }) <= maxGrantBytes) return;
    const message = `must be at most ${maxGrantBytes} bytes of JSON together with roles`;
    context.addIssue({ code: "custom", path: ["channels"], message });
  })
  .meta({ id: "CreateSession" });

/** Body of `POST /v1/sessions/{sessionId}/token`; may be left out. */
export const issueTokenBody = z
  .strictObject({ idempotencyKey: idempotencyKey.optional() })
  .optional()
  .meta({ id: "IssueToken" });

/** Path of everything about one session. */
export const sessionParams = z.strictObject({
  sessionId: sessionId.meta({ description: "The session's id, from the response that created it." }),
});

/** Path of everything about one user. */
export const userParams = z.strictObject({ userId: userId.meta({ description: "URL-encoded.", examples: ["ada"] }) });

/** A moment long past even in milliseconds; below it somebody counted in seconds and would have revoked nothing. */
const minMilliseconds = 100_000_000_000;

/** Body of `POST /v1/tokens/revoke`: a token, or what is known of it. */
export const revokeTokenBody = z
  .strictObject({
    token: tokenText.optional().meta({ description: "The token itself; it may have expired." }),
    jti: eventName.optional().meta({ description: "The token's `jti`. Requires `expiresAt`." }),
    expiresAt: timestamp
      .min(minMilliseconds, "must be in epoch milliseconds")
      .optional()
      .meta({ description: "When the token expires, in epoch milliseconds. Requires `jti`." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .refine(namesOneToken, "must contain token, or jti and expiresAt")
  .meta({ id: "RevokeToken" });
export type RevokeTokenBody = z.output<typeof revokeTokenBody>;

function namesOneToken({ token, jti, expiresAt }: { token?: unknown; jti?: unknown; expiresAt?: unknown }): boolean {
  if (token !== undefined) return jti === undefined && expiresAt === undefined;
  return jti !== undefined && expiresAt !== undefined;
}

const closingCodes = Object.keys(closingCatalogue) as [ClosingCode, ...ClosingCode[]];

/** Body of `POST /v1/users/{userId}/disconnect`; may be left out. */
export const disconnectBody = z
  .strictObject({
    code: z.enum(closingCodes).optional().meta({ description: "Default: `disconnected_by_backend`." }),
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
const connections = z.int().min(0).meta({ description: "Open connections across all nodes." });

/** Answer of `POST /v1/sessions`. */
export const sessionCreated = z.strictObject({ sessionId, token, expiresAt: tokenEnd }).meta({ id: "SessionCreated" });

/** Answer of `POST /v1/sessions/{sessionId}/token`. */
export const tokenIssued = z.strictObject({ token, expiresAt: tokenEnd }).meta({ id: "TokenIssued" });

const entryFields = {
  sessionId,
  createdAt: timestamp,
  lastSeenAt: timestamp.meta({ description: "Time of the last authentication, rounded to the minute." }),
  userAgent: z.string().optional().meta({ description: "Address of the client that authenticated last." }),
  connections,
};

/** Answer of `sessions:list`. */
export const sessionsListAnswer = z.strictObject({
  sessions: z.array(z.strictObject({ ...entryFields, current: z.boolean() })),
});
export type SessionsListAnswer = z.output<typeof sessionsListAnswer>;

/** Answer of `GET /v1/users/{userId}/sessions`, oldest first. */
export const userSessionsAnswer = z.strictObject({
  sessions: z.array(
    z
      .strictObject({
        ...entryFields,
        expiresAt: timestamp,
        roles: z.array(z.string()),
        channels: z.strictObject({ subscribe: z.array(z.string()), publish: z.array(z.string()) }),
        data: z.record(z.string(), z.unknown()).optional(),
      })
      .meta({ id: "Session" }),
  ),
});
export type UserSessionsAnswer = z.output<typeof userSessionsAnswer>;

const disconnectionFields = {
  disconnected: z.int().min(0).meta({ description: "Number of closed connections." }),
  nodes: z.int().min(0).meta({ description: "Number of nodes asked." }),
  acknowledged: z
    .int()
    .min(0)
    .meta({ description: "Number of nodes that confirmed; if it equals `nodes`, every connection is closed." }),
};

/** Answer of everything that ends logins or tokens. */
export const revocationAnswer = z
  .strictObject({
    revoked: z.int().min(0).meta({ description: "Number of sessions or tokens that were valid until now." }),
    ...disconnectionFields,
  })
  .meta({ id: "Revocation" });

/** Answer of `POST /v1/users/{userId}/disconnect`. */
export const disconnectionAnswer = z.strictObject(disconnectionFields).meta({ id: "Disconnection" });
