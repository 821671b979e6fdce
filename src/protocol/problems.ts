import { z } from "zod";
import { errorCatalogue, type ErrorCode } from "./errors.ts";

/** How refusals look on the wire, as schemas: for answers that carry them and for the API's description. */
const errorCodes = Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]];

const fields = {
  code: z.enum(errorCodes).meta({ id: "ErrorCode", description: "What went wrong, for programs." }),
  retryAfterMs: z.int().min(0).optional().meta({ description: "Milliseconds after which a repeat may succeed." }),
};

/** `error` of an acknowledgement or of one item of a batch. */
export const errorBody = z
  .strictObject({
    code: fields.code,
    message: z.string().meta({ description: "What went wrong, for people; names the field." }),
    retryAfterMs: fields.retryAfterMs,
  })
  .meta({ id: "Error" });

/** Body of every HTTP answer that is a refusal: RFC 9457, `application/problem+json`. */
export const problem = z
  .strictObject({
    type: z.string().meta({ description: "Where the code is explained.", examples: ["/docs#rate_limited"] }),
    title: z.string().meta({ description: "What the code means.", examples: ["Too many requests."] }),
    status: z.int().meta({ description: "The HTTP status again." }),
    detail: z.string().meta({ description: "What went wrong this time." }),
    code: fields.code,
    field: z
      .string()
      .optional()
      .meta({ description: "The field that was wrong.", examples: ["publications[3].event"] }),
    retryAfterMs: fields.retryAfterMs,
  })
  .meta({ id: "Problem" });
export type Problem = z.output<typeof problem>;
