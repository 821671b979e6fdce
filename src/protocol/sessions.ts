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
  .refine((one) => (one.sessionId === undefined) !== (one.others === undefined), "must hold sessionId or others: true");

// What backends send

const roleName = eventName.meta({ examples: ["support"] });
const patterns = z
  .array(channelName)
  .max(maxGrants)
  .meta({ description: "Names of channels; a final `*` matches the rest of a name.", examples: [["news:*"]] });

/** Body of `POST /v1/sessions`. */
export const createSessionBody = z
  .strictObject({
    userId: userId.meta({ description: "Whose login it is.", examples: ["ada"] }),
    roles: z.array(roleName).max(maxGrants).optional().meta({ description: "Handed on in the session's tokens." }),
    channels: z
      .strictObject({ subscribe: patterns.optional(), publish: patterns.optional() })
      .optional()
      .meta({ description: "Channels of granted kinds that the session's tokens open." }),
    data: z
      .record(z.string(), z.unknown())
      .refine((data) => byteLength(data) <= maxDataBytes, `must be at most ${maxDataBytes} bytes of JSON`)
      .optional()
      .meta({
        description: "Kept with the session for backends; never sent to clients.",
        examples: [{ device: "tv" }],
      }),
    ttlSeconds: z
      .int()
      .min(1)
      .max(maxTtlSeconds)
      .optional()
      .meta({ description: "Life of the session, in seconds; its tokens never outlive it." }),
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
  sessionId: sessionId.meta({ description: "As its creation answered." }),
});

/** Path of everything about one user. */
export const userParams = z.strictObject({ userId: userId.meta({ description: "URL-encoded.", examples: ["ada"] }) });

/** A moment long past even in milliseconds; below it somebody counted in seconds and would have revoked nothing. */
const leastMilliseconds = 100_000_000_000;

/** Body of `POST /v1/tokens/revoke`: a token, or what is known of it. */
export const revokeTokenBody = z
  .strictObject({
    token: tokenText.optional().meta({ description: "The token itself; one that has expired is fine." }),
    jti: eventName.optional().meta({ description: "The token's `jti`; with `expiresAt`." }),
    expiresAt: timestamp
      .min(leastMilliseconds, "must be in epoch milliseconds")
      .optional()
      .meta({ description: "When the token ends by itself, in epoch milliseconds; with `jti`." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .refine(namesOneToken, "must hold token, or jti and expiresAt")
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
    code: z.enum(closingCodes).optional().meta({ description: "`disconnected_by_backend` where left out." }),
    message: eventName.optional().meta({ description: "For people; the code's own where left out." }),
    reconnect: z
      .boolean()
      .optional()
      .meta({ description: "Whether coming back makes sense; the code's own where left out." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .optional()
  .meta({ id: "Disconnect" });

// What they are answered

const token = z
  .string()
  .nullable()
  .meta({ description: "A signed token; null where the gateway holds no signing key, and the backend signs itself." });
const tokenEnd = timestamp.meta({ description: "When the token ends; where it is null, when the session ends." });
const connections = z.int().min(0).meta({ description: "Live connections, on all nodes." });

/** Answer of `POST /v1/sessions`. */
export const sessionCreated = z.strictObject({ sessionId, token, expiresAt: tokenEnd }).meta({ id: "SessionCreated" });

/** Answer of `POST /v1/sessions/{sessionId}/token`. */
export const tokenIssued = z.strictObject({ token, expiresAt: tokenEnd }).meta({ id: "TokenIssued" });

const entryFields = {
  sessionId,
  createdAt: timestamp,
  lastSeenAt: timestamp.meta({ description: "When it last authenticated, to the minute." }),
  userAgent: z.string().optional().meta({ description: "Of the client that authenticated last." }),
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
  disconnected: z.int().min(0).meta({ description: "Sockets closed." }),
  nodes: z.int().min(0).meta({ description: "Nodes asked." }),
  acknowledged: z
    .int()
    .min(0)
    .meta({ description: "Nodes that confirmed; where equal to `nodes`, none is left alive." }),
};

/** Answer of everything that ends logins or tokens. */
export const revocationAnswer = z
  .strictObject({
    revoked: z.int().min(0).meta({ description: "Sessions or tokens that were good until now." }),
    ...disconnectionFields,
  })
  .meta({ id: "Revocation" });

/** Answer of `POST /v1/users/{userId}/disconnect`. */
export const disconnectionAnswer = z.strictObject(disconnectionFields).meta({ id: "Disconnection" });
