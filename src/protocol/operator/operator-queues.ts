import { z } from "zod";
import { filterText, limit, masked, nextCursor } from "./operator.ts";
import { timestamp, wholeNumber } from "../scalars.ts";
import { scheduledPublication } from "../scheduled.ts";

/** Schemas of the operator API about what waits: queues, dead letters, scheduled publications. */

/** Of an entry of a stream in Redis, or of a row in Postgres. */
const letterId = z.string().regex(/^\d{1,20}(-\d{1,20})?$/, "is not the id of an entry");
const letterSource = z
  .enum(["commands", "webhooks", "outbox"])
  .meta({ description: "Commands of the stream, webhooks, or commands of the Postgres outbox. Default: `commands`." });
const waitingEndpoint = z
  .object({
    to: z.string().meta({ description: "Scheme, host and port of the receiver." }),
    waiting: z.int().meta({ description: "Messages for this receiver." }),
    queues: z.int().meta({ description: "Sessions, channels and orders with messages, each in order." }),
    next: z
      .array(
        z.object({
          entity: z.string().meta({ description: "What the messages are about." }),
          tries: z.int().meta({ description: "Failed attempts of its first message." }),
          nextAt: timestamp.meta({ description: "When it is attempted next, or another node takes it over." }),
        }),
      )
      .meta({ description: "Those that are attempted next, at most 20." }),
  })
  .meta({ id: "WaitingEndpoint" });
export const queuesAnswer = z.object({
  commands: z.object({
    undelivered: z.int(),
    pending: z.array(z.object({ consumer: z.string(), count: z.int() })),
    oldestAt: timestamp.optional(),
    lagMs: z.int(),
  }),
  deadLetters: z.object({
    commands: z.int(),
    webhooks: z.int(),
    outbox: z
      .int()
      .optional()
      .meta({ description: "As counted within the last seconds; absent without an outbox that can be read." }),
  }),
  outbox: z
    .object({ lagSeconds: z.number() })
    .optional()
    .meta({ description: "Age of the oldest row of the Postgres outbox; absent without an outbox that can be read." }),
  webhooks: z.object({
    waiting: z.int().meta({ description: "Messages for all receivers." }),
    endpoints: z.array(waitingEndpoint),
  }),
});
export const operatorScheduledPage = z.object({
  scheduled: z.array(
    scheduledPublication
      .extend({ data: z.unknown().optional().meta({ description: masked }) })
      .meta({ id: "OperatorScheduled" }),
  ),
  cursor: nextCursor,
});
const since = timestamp.meta({ description: "Only those given up at this time or later." });
const until = timestamp.meta({ description: "Only those given up before this time." });
const letterFilter = {
  code: filterText.meta({ description: "The error code." }),
  type: filterText.meta({ description: "Type of a stream command." }),
  reason: filterText.meta({ description: "Text that the reason contains." }),
  since: since.optional(),
  until: until.optional(),
};
export type DeadLetterFilter = { [K in keyof typeof letterFilter]?: z.output<(typeof letterFilter)[K]> };
export const lettersQuery = z.strictObject({
  ...letterFilter,
  since: wholeNumber(since).optional(),
  until: wholeNumber(until).optional(),
  of: letterSource.default("commands"),
  after: letterId.optional().meta({ description: "Only those after the one with this id." }),
  limit: limit(200, 50),
});
export const lettersAnswer = z.object({
  letters: z.array(
    z
      .object({
        id: z.string().meta({ description: "Identifies it, to replay or remove it." }),
        at: timestamp.meta({ description: "When it was given up." }),
        code: z.string().meta({ description: "The error code." }),
        reason: z.string().meta({ description: "Why it was given up, in words." }),
        tries: z.int().meta({ description: "Number of attempts." }),
        type: z.string().optional().meta({ description: "Type of a stream command." }),
        bytes: z.int().meta({ description: "Size of the command or webhook." }),
        command: z.string().optional().meta({ description: masked }),
      })
      .meta({ id: "DeadLetter" }),
  ),
});
export const lettersActBody = z
  .strictObject({
    of: letterSource.default("commands"),
    ids: z.array(letterId).min(1).max(1_000).optional().meta({ description: "Ids of dead letters." }),
    filter: z
      .strictObject(letterFilter)
      .optional()
      .meta({ description: "All dead letters that match, in place of `ids`." }),
  })
  .refine(({ ids, filter }) => (ids === undefined) !== (filter === undefined), "must contain ids or a filter");
export const lettersActAnswer = z.object({
  done: z.int(),
  missing: z.int(),
  more: z.boolean().meta({ description: "More match than one call handles; call again." }),
});
