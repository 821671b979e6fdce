import { z } from "zod";
import { wrong } from "./parse-with.ts";
import { publishBodyFields } from "./publications.ts";
import { eventName, timestamp, timestampOfBackend, wholeNumber } from "./scalars.ts";

/** Schemas of publications for later. */

/** A year and a day. */
const maxDelayMs = 366 * 86_400_000;

/** Body of `POST /v1/publish`. */
export const publishOrScheduleBody = z
  .strictObject({
    ...publishBodyFields,
    delayMs: z
      .int()
      .min(0)
      .max(maxDelayMs)
      .optional()
      .meta({ description: "Publish after this many milliseconds; the response is then 202." }),
    publishAt: timestampOfBackend
      .optional()
      .meta({ description: "Publish at this time, in epoch milliseconds of the Redis clock; in the past: now." }),
  })
  .refine(({ delayMs, publishAt }) => delayMs === undefined || publishAt === undefined, {
    path: ["publishAt"],
    message: "cannot be combined with delayMs",
  })
  .refine(({ publishAt = 0 }) => publishAt <= Date.now() + maxDelayMs, {
    path: ["publishAt"],
    message: "must be at most 366 days ahead",
  })
  .meta({ id: "PublishNowOrLater" });

const scheduleId = eventName.meta({ description: "Identifies it, to cancel it." });

/** Answer of `POST /v1/publish` with `delayMs` or `publishAt`. */
export const scheduled = z
  .strictObject({
    scheduleId: scheduleId.meta({ examples: ["u8yLkVfX1l0v2K9dQm4b7w"] }),
    publishAt: timestamp.meta({ description: "When it is published, in epoch milliseconds of the Redis clock." }),
  })
  .meta({ id: "Scheduled" });

/** Path of one scheduled publication. */
export const scheduledParams = z.strictObject({
  scheduleId: scheduleId.meta({
    description: "From the response that scheduled it.",
    examples: ["u8yLkVfX1l0v2K9dQm4b7w"],
  }),
});

/** Query of `GET /v1/scheduled`. */
export const scheduledQuery = z.strictObject({
  limit: wholeNumber(z.int().min(1).max(1000))
    .default(100)
    .meta({ description: "Maximum number of publications. Default: 100." }),
  cursor: z.string().max(64).optional().meta({ description: "Cursor from the previous page." }),
});

export const scheduledPublication = z
  .strictObject({
    ...scheduled.shape,
    channel: publishBodyFields.channel,
    event: publishBodyFields.event,
    data: publishBodyFields.data,
  })
  .meta({ id: "ScheduledPublication" });

/** Answer of `GET /v1/scheduled`. */
export const scheduledPage = z.strictObject({
  scheduled: z.array(scheduledPublication),
  cursor: z.string().optional().meta({ description: "Cursor of the next page; absent on the last page." }),
});

/** Answer of `DELETE /v1/scheduled/{scheduleId}`. */
export const scheduledRemoved = z.strictObject({
  removed: z.boolean().meta({ description: "False if it is unknown, or already published." }),
});

/** Where a page starts, as its cursor says. */
export interface ScheduledCursor {
  publishAt: number;
  scheduleId: string;
}

export const toCursor = ({ publishAt, scheduleId: id }: ScheduledCursor): string => `${publishAt}.${id}`;

/** Throws `bad_request`. */
export function parseCursor(cursor: string): ScheduledCursor {
  const [, publishAt, id] = /^(\d{1,16})\.([\w-]{22})$/.exec(cursor) ?? [];
  if (publishAt === undefined || id === undefined) throw wrong("cursor", "is not a cursor of this list");
  return { publishAt: Number(publishAt), scheduleId: id };
}
