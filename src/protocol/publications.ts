import { z } from "zod";
import { failedResult, succeeded } from "./problems.ts";
import {
  channelName,
  channelPrefix,
  clientChannelName,
  eventName,
  idempotencyKey,
  jsonValue,
  place,
  position,
  timestamp,
  userId,
  wholeNumber,
} from "./scalars.ts";

/** Schemas of what flows through channels: the client's events, the backend's calls, and what both are answered. */

/** Most publications or channels one call may name. */
export const maxBatchSize = 1000;

/** Most publications one answer of `history` carries. */
export const maxHistoryLimit = 1000;

// What a channel holds

/** Who published. The gateway sets it for clients; backends may set it without `connectionId`. */
export const sender = z
  .strictObject({
    userId: z.string().meta({ description: "The user.", examples: ["alice"] }),
    connectionId: z.string().optional().meta({ description: "Of the client's connection; absent for backends." }),
    info: jsonValue.optional().meta({ description: "The public part of the session, or what the backend set." }),
  })
  .meta({ id: "PublicationSender" });

export const publication = z
  .strictObject({
    ...place,
    event: z.string().meta({ description: "Event name chosen by the publisher.", examples: ["said"] }),
    data: jsonValue.meta({ description: "Any JSON value.", examples: [{ text: "hello" }] }),
    from: sender.optional().meta({ description: "Who published; absent if a backend did not say." }),
    publishedAt: timestamp.meta({ description: "Epoch milliseconds of the Redis clock." }),
  })
  .meta({ id: "Publication" });

// What clients and backends send

const publishFields = {
  channel: channelName.meta({ description: "The channel's full name.", examples: ["chat:lobby"] }),
  event: eventName.meta({ description: "Event name chosen by the publisher.", examples: ["said"] }),
  data: jsonValue.meta({ description: "Any JSON value.", examples: [{ text: "hello" }] }),
  idempotencyKey: idempotencyKey.optional(),
};

const ephemeral = z.boolean().optional().meta({
  description: "Deliver only to current subscribers, without offset and history; may be dropped first.",
});

/** Client event `publish`. */
export const publishMessage = z.strictObject({
  ...publishFields,
  channel: clientChannelName,
  echo: z.boolean().optional().meta({ description: "False: not delivered to the publisher's own connection." }),
  ephemeral,
});

/** Max connections and users in `except`. */
export const maxExcept = 16;

/** A connection id, or `user:{userId}` for all connections of a user, as Socket.IO's `except` takes rooms. */
const excepted = z
  .union(
    [eventName, z.array(eventName).min(1).max(maxExcept)],
    `must be a name, or an array of 1 to ${maxExcept} names`,
  )
  .meta({
    description: "Connection ids, or `user:{userId}` for all connections of a user, that do not receive it.",
    examples: ["user:alice"],
  });

/** What goes along with a command and is not shown to clients. */
export const commandMeta = z
  .strictObject({
    traceparent: z
      .string()
      .regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, "is not a W3C traceparent")
      .meta({ examples: ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] }),
  })
  .optional()
  .meta({ description: "The caller's W3C trace context, if it is not in the header `traceparent`." });

export const publishBodyFields = {
  ...publishFields,
  meta: commandMeta,
  from: z
    .strictObject({ userId, info: jsonValue.optional() })
    .optional()
    .meta({ description: "The user on whose behalf the backend publishes." }),
  except: excepted.optional(),
  ephemeral,
};

/** Body of `POST /v1/publish`, and one item of a batch. */
export const publishBody = z.strictObject(publishBodyFields).meta({ id: "Publish" });

/** Client event `subscribe`. */
export const subscribeMessage = z.strictObject({
  channel: clientChannelName,
  since: position
    .optional()
    .meta({ description: "The position up to which the client has read: `publications` are those after it." }),
  token: z.string().min(1).max(16_384).optional().meta({
    description:
      "A JWT that lets this user into this channel until it expires, with the claims `sub`, `channel`, `exp`.",
  }),
});

/** Client event `unsubscribe`. */
export const unsubscribeMessage = z.strictObject({ channel: clientChannelName });

const historyLimit = z.int().min(1).max(maxHistoryLimit);
const maxOfHistory = "Maximum number of publications. Default: the whole history.";

/** Client event `history`. */
export const historyMessage = z.strictObject({
  channel: clientChannelName,
  since: position.optional().meta({ description: "Only publications after this position, oldest first." }),
  limit: historyLimit.optional().meta({ description: maxOfHistory }),
});

/**
 * Body of `POST /v1/publish/batch`. Items stay unparsed here, so that one bad item fails alone; each is then parsed with
 * `publishBody`.
 */
export const publishBatchBody = z.strictObject({
  publications: z
    .array(z.unknown().meta({ override: { $ref: "#/components/schemas/Publish" } }))
    .max(maxBatchSize)
    .meta({ description: "Published in this order. An invalid item fails on its own." }),
  idempotencyKey: publishFields.idempotencyKey,
});

/** Body of `POST /v1/broadcast`. Channels stay unparsed for the same reason as items of a batch. */
export const broadcastBody = z.strictObject({
  channels: z
    .array(z.unknown().meta({ override: { type: "string" } }))
    .max(maxBatchSize)
    .meta({
      description: "Full channel names. An invalid one fails on its own.",
      examples: [["chat:lobby", "chat:kitchen"]],
    }),
  event: publishFields.event,
  data: publishFields.data,
  idempotencyKey: publishFields.idempotencyKey,
});

/** A position in a query: both fields or none. */
export const positionQuery = {
  epoch: z.string().max(64).optional().meta({ description: "Epoch of the position to read after. Requires `offset`." }),
  offset: wholeNumber(z.int().min(0))
    .optional()
    .meta({ description: "Offset of the position to read after. Requires `epoch`." }),
};

/** Refuses a query that has one of the two. */
export function namesWholePosition(
  { epoch, offset }: { epoch?: string | undefined; offset?: number | undefined },
  context: z.RefinementCtx,
): void {
  if ((epoch === undefined) === (offset === undefined)) return;
  const missing = epoch === undefined ? "epoch" : "offset";
  const message = "is required because epoch and offset belong together";
  context.addIssue({ code: "custom", path: [missing], message });
}

/** Query of `GET /v1/channels/{channel}/history`. */
export const historyQuery = z
  .strictObject({
    ...positionQuery,
    limit: wholeNumber(historyLimit).optional().meta({ description: maxOfHistory }),
  })
  .superRefine(namesWholePosition);

/** Path of everything about one channel. */
export const channelParams = z.strictObject({
  channel: channelName.meta({
    description: "The channel's full name, URL-encoded (`/` as `%2F`).",
    examples: ["chat:lobby"],
  }),
});

/** Query of `GET /v1/channels`. */
export const channelsQuery = z.strictObject({
  prefix: channelPrefix.optional().meta({ description: "List only channels whose name starts with this." }),
  limit: wholeNumber(z.int().min(1).max(1000))
    .default(100)
    .meta({ description: "Maximum number of channels. Default: 100." }),
  cursor: channelPrefix.optional().meta({ description: "Cursor from the previous page." }),
});

// What they are answered

/** Of a subscription. */
export const conflated = z.literal(true).optional().meta({ description: "Live publications may skip offsets." });

/** Answer of `publish` on both roads. */
export const published = z
  .strictObject({
    ...place,
    duplicate: z.boolean().meta({ description: "True if this repeats an earlier call with the same key." }),
  })
  .meta({ id: "Published" });

/** Answer of `publish` with `ephemeral: true`. */
export const publishedEphemeral = z.strictObject({ channel: place.channel }).meta({ id: "PublishedEphemeral" });

export const publishAnswer = z.union([published, publishedEphemeral]);

/** One result of a batch or broadcast. */
export const publishResult = z
  .union([
    z.strictObject({ ok: succeeded, ...published.shape }),
    z.strictObject({ ok: succeeded, ...publishedEphemeral.shape }),
    failedResult,
  ])
  .meta({ id: "PublishResult" });
export type PublishResult = z.output<typeof publishResult>;

/** Answer of a batch or broadcast: one result per item, in the order of the call. */
export const publishResults = z.strictObject({ results: z.array(publishResult) });

/** Answer of `history` on both roads. */
export const historyAnswer = z
  .strictObject({ ...place, publications: z.array(publication).meta({ description: "Oldest first." }) })
  .meta({ id: "History", description: "The channel's current position, and its publications, oldest first." });

/** Answer of `DELETE /v1/channels/{channel}/history`. */
export const historyRemoved = z.strictObject({
  removed: z.int().min(0).meta({ description: "Publications that the history held." }),
});

/** Answer of `GET /v1/channels`. */
export const channelsAnswer = z.strictObject({
  channels: z.array(
    z
      .strictObject({
        channel: place.channel,
        subscribers: z.int().min(0).meta({ description: "Subscribed connections across all nodes." }),
      })
      .meta({ id: "ActiveChannel" }),
  ),
  cursor: z.string().optional().meta({ description: "Cursor of the next page; absent on the last page." }),
});
