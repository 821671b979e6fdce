import { z } from "zod";
import { counts, entryId, filterText, limit, silent } from "./operator.ts";
import { channelName, clientAddress, connectionId, nodeId, place, sessionId, timestamp, userId } from "../scalars.ts";

/** Schemas of the operator API about what was refused and why, and about who did what. */

const reasonKind = z
  .enum(["handshake", "event", "http", "page", "closing"])
  .meta({ description: "Where it was refused; `closing`: the connection was closed." });
const requestId = z.string().meta({ description: "The `X-Request-Id` of the call." });

export const recordedReason = z
  .object({
    nodeId,
    at: timestamp.meta({ description: "When it happened last." }),
    count: z.int().meta({ description: "How often, within ten seconds of the first time." }),
    kind: reasonKind,
    code: z.string().meta({ description: "The error code or the closing code." }),
    rule: z
      .string()
      .optional()
      .meta({ description: "The rule, the claim or the limiter that decided; absent if the code says it all." }),
    detail: z.string().optional().meta({ description: "In words, such as the field that was wrong." }),
    userId: userId.optional(),
    sessionId: sessionId.optional(),
    connectionId: connectionId.optional(),
    address: clientAddress.optional(),
    caller: z.string().optional().meta({ description: "Name of the API key or of the operator." }),
    operation: z.string().optional().meta({ description: "The client event, or the route." }),
    channel: place.channel.optional(),
    requestId: requestId.optional(),
  })
  .meta({ id: "RecordedReason" });
export const reasonsQuery = z.strictObject({
  kind: reasonKind.optional(),
  code: filterText.meta({ description: "Only refusals with this code." }),
  user: userId.optional().meta({ description: "Only refusals of this user." }),
  address: filterText.meta({ description: "Only refusals of this address." }),
  limit: limit(1_000, 100),
});
export const reasonsAnswer = z.object({ refusals: z.array(recordedReason), silent });

export const whyBody = z
  .strictObject({
    token: z
      .string()
      .min(1)
      .max(16_384)
      .optional()
      .meta({ description: "The token of a client; in place of `userId` or `sessionId`." }),
    userId: userId.optional().meta({ description: "A user, whose newest session is checked." }),
    sessionId: sessionId.optional().meta({ description: "A session." }),
    channel: channelName.optional().meta({ description: "A channel to check, after the handshake. Default: none." }),
    act: z
      .enum(["subscribe", "publish"])
      .default("subscribe")
      .meta({ description: "What to check in the channel. Default: `subscribe`." }),
  })
  .refine(
    ({ token, userId: user, sessionId: session }) =>
      [token, user, session].filter((one) => one !== undefined).length === 1,
    "must contain exactly one of token, userId and sessionId",
  );
export type WhyQuestion = z.output<typeof whyBody>;
const whyStep = z
  .object({
    step: z.string().meta({ description: "What was checked." }),
    ok: z.boolean().meta({ description: "False if it is refused here; later steps are not taken." }),
    detail: z.string().meta({ description: "What was found, in words." }),
  })
  .meta({ id: "WhyStep" });
export type WhyStep = z.output<typeof whyStep>;
export const whyAnswer = z.object({
  allowed: z.boolean(),
  code: z.string().optional(),
  userId: z.string().optional(),
  sessionId: z.string().optional(),
  steps: z.array(whyStep),
  refusals: z.array(recordedReason).meta({ description: "Recorded refusals of this user." }),
});

export const auditEntry = z
  .object({
    id: z.string().meta({ description: "Identifies the entry." }),
    at: timestamp.meta({ description: "When it was done." }),
    by: z.string().meta({ description: "Name of the operator or of the API key." }),
    via: z.enum(["operator", "api"]).meta({ description: "Whether an operator or a backend did it." }),
    act: z.string().meta({ description: "The call, by its operation id." }),
    target: z.record(z.string(), z.unknown()).meta({ description: "Parameters of the path, such as `userId`." }),
    outcome: counts.meta({ description: "Counts of the response, such as `disconnected`." }),
    address: z.string().optional().meta({ description: "The caller's IP address." }),
    requestId: requestId.optional(),
  })
  .meta({ id: "AuditEntry" });
export type AuditEntry = z.output<typeof auditEntry>;
export const auditQuery = z.strictObject({
  before: entryId.optional().meta({ description: "Only entries before the one with this id." }),
  limit: limit(1_000, 100),
});
export const auditAnswer = z.object({ entries: z.array(auditEntry) });
