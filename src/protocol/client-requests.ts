import { z } from "zod";
import { isGatewayEvent } from "./reserved-events.ts";
import { connectionId, eventName, idempotencyKey } from "./scalars.ts";

/** Schemas of requests to clients. */

/** Max milliseconds that clients may take to answer, and those they have by default. */
export const maxRequestTimeoutMs = 60_000;
export const defaultRequestTimeoutMs = 5_000;

/** Described with every type, because tools render a value of no type as they please. */
const argument = z
  .unknown()
  .meta({ override: { type: ["object", "array", "string", "number", "boolean", "null"] }, examples: ["yes"] });

/** Max binary attachments of one packet; stock clients disconnect if there are more. */
export const maxAttachments = 10;

/** Arguments of an event or an acknowledgement, as JSON, that stock clients can read. */
export const eventArguments = z
  .array(argument)
  .max(32)
  .refine((args) => countAttachments(args) <= maxAttachments, `must have at most ${maxAttachments} binary values`)
  .refine(
    (args) => countAttachments(args) === 0 || !hasPlaceholder(args),
    "must not have a field _placeholder beside binary values",
  );

function countAttachments(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  if ("$binary" in value && typeof value.$binary === "string" && Object.keys(value).length === 1) return 1;
  return Object.values(value).reduce<number>((sum, item) => sum + countAttachments(item), 0);
}

/** Socket.IO's own form of an attachment. */
const hasPlaceholder = (value: unknown): boolean =>
  typeof value === "object" && value !== null && ("_placeholder" in value || Object.values(value).some(hasPlaceholder));

const binary = 'Binary data is `{ "$binary": "<base64>" }`.';

/** Body of `POST /v1/users/{userId}/request` and `/v1/connections/{connectionId}/request`. */
export const clientRequestBody = z
  .strictObject({
    event: eventName
      .refine((event) => !isGatewayEvent(event), "is reserved")
      .meta({ description: "Event name that the clients listen to.", examples: ["confirm"] }),
    args: eventArguments
      .optional()
      .meta({ description: `Arguments of the event. ${binary}`, examples: [[{ orderId: "o-17" }]] }),
    timeoutMs: z
      .int()
      .min(1)
      .max(maxRequestTimeoutMs)
      .optional()
      .meta({ description: `Max milliseconds to wait for answers. Default: ${defaultRequestTimeoutMs}.` }),
    wait: z
      .enum(["all", "first"])
      .optional()
      .meta({ description: "Wait for the answers of all connections, or for the first. Default: `all`." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .meta({ id: "ClientRequest" });

/** What clients are asked. */
export type ClientRequest = Omit<z.input<typeof clientRequestBody>, "idempotencyKey">;

/** Whose connections are asked. */
export type AskedClients = { userId: string } | { connectionId: string };

/** Path of everything about one connection. */
export const connectionParams = z.strictObject({
  connectionId: eventName.meta({ description: "The connection's id, URL-encoded." }),
});

/** Answer of `POST /v1/users/{userId}/request` and `/v1/connections/{connectionId}/request`. */
export const clientAnswers = z
  .strictObject({
    answers: z
      .array(
        z.strictObject({
          connectionId,
          args: z.array(argument).meta({ description: `Arguments of the acknowledgement. ${binary}` }),
        }),
      )
      .meta({ description: "In the order in which they arrived." }),
    silent: z
      .array(z.strictObject({ connectionId }))
      .meta({ description: "Connections that were asked and have not answered: in time, or before the first answer." }),
    nodes: z.int().min(0).meta({ description: "Number of nodes asked." }),
    acknowledged: z
      .int()
      .min(0)
      .meta({ description: "Number of nodes that have asked their connections; the others are not listed as silent." }),
  })
  .meta({ id: "ClientAnswers" });
export type ClientAnswers = z.output<typeof clientAnswers>;
