import { z } from "zod";
import { filterText, limit, masked } from "./operator.ts";
import { timestamp, wholeNumber } from "./scalars.ts";
import { scheduledPublication } from "./scheduled.ts";

/** Schemas of the operator API about what waits: queues, dead letters, scheduled publications. */

const letterSource = z.enum(["commands", "webhooks"]);
export const queuesAnswer = z.object({
  commands: z.object({
    undelivered: z.int(),
    pending: z.array(z.object({ consumer: z.string(), count: z.int() })),
    oldestAt: timestamp.optional(),
    lagMs: z.int(),
  }),
  deadLetters: z.object({ commands: z.int(), webhooks: z.int() }),
  outbox: z
    .object({ lagSeconds: z.number() })
    .optional()
    .meta({ description: "Age of the oldest row of the Postgres outbox; absent without an outbox that can be read." }),
  webhooks: z.object({ waiting: z.int() }),
});
export const operatorScheduledPage = z.object({
  scheduled: z.array(
    scheduledPublication
      .extend({ data: z.unknown().optional().meta({ description: masked }) })
      .meta({ id: "OperatorScheduled" }),
  ),
  cursor: z.string().optional(),
});
const letterFilter = {
  code: filterText,
  type: filterText.meta({ description: "Type of a stream command." }),
  reason: filterText.meta({ description: "Text that the reason contains." }),
  since: timestamp.optional(),
  until: timestamp.optional(),
};
export type DeadLetterFilter = { [K in keyof typeof letterFilter]?: z.output<(typeof letterFilter)[K]> };
export const lettersQuery = z.strictObject({
  ...letterFilter,
  since: wholeNumber(timestamp).optional(),
  until: wholeNumber(timestamp).optional(),
  of: letterSource.default("commands"),
  after: z
    .string()
    .regex(/^\d{1,20}-\d{1,20}$/, "is not the id of an entry")
    .optional(),
  limit: limit(200, 50),
});
export const lettersAnswer = z.object({
  letters: z.array(
    z
      .object({
        id: z.string(),
        at: timestamp,
        code: z.string(),
        reason: z.string(),
        tries: z.int(),
        type: z.string().optional(),
        bytes: z.int(),
        command: z.string().optional().meta({ description: masked }),
      })
      .meta({ id: "DeadLetter" }),
  ),
});
export const lettersActBody = z
  .strictObject({
    of: letterSource.default("commands"),
    ids: z
      .array(z.string().regex(/^\d{1,20}-\d{1,20}$/, "is not the id of an entry"))
      .min(1)
      .max(1_000)
      .optional(),
    filter: z.strictObject(letterFilter).optional(),
  })
  .refine(({ ids, filter }) => (ids === undefined) !== (filter === undefined), "must contain ids or a filter");
export const lettersActAnswer = z.object({
  done: z.int(),
  missing: z.int(),
  more: z.boolean().meta({ description: "More match than one call handles; call again." }),
});
