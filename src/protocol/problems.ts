import { z } from "zod";
import { errorCatalogue, type ErrorCode, type GatewayError } from "./errors.ts";

/** How refusals look on the wire, as schemas: for answers that carry them and for the API's description. */
const errorCodes = Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]];

const fields = {
  code: z.enum(errorCodes).meta({ id: "ErrorCode", description: "Machine-readable error code." }),
  retryAfterMs: z.int().min(0).optional().meta({ description: "Milliseconds after which a retry may succeed." }),
};
const code = fields.code.meta({ description: "What went wrong, for programs." });

/** `error` of an acknowledgement or of one item of a batch. */
export const errorBody = z
  .strictObject({
    code,
    message: z.string().meta({ description: "Human-readable message that names the invalid field." }),
    retryAfterMs: fields.retryAfterMs,
  })
  .meta({ id: "Error" });

/** Of one item of a batch. */
export const succeeded = z.literal(true).meta({ description: "The item was applied." });
export const failedResult = z.strictObject({
  ok: z.literal(false).meta({ description: "The item was refused; the others are not affected." }),
  error: errorBody.meta({ description: "Why." }),
});

/** Body of every HTTP answer that is a refusal: RFC 9457, `application/problem+json`. */
export const problem = z
  .strictObject({
    type: z.string().meta({ description: "Link to the documentation of the code.", examples: ["/docs#rate_limited"] }),
    title: z.string().meta({ description: "Meaning of the code.", examples: ["Too many requests."] }),
    status: z.int().meta({ description: "The HTTP status." }),
    detail: z.string().meta({ description: "Details of this occurrence." }),
    code,
    field: z
      .string()
      .optional()
      .meta({ description: "The invalid field.", examples: ["publications[3].event"] }),
    retryAfterMs: fields.retryAfterMs,
  })
  .meta({ id: "Problem" });
export type Problem = z.output<typeof problem>;

export const problemType = "application/problem+json";

/** RFC 9457. `type` links to the documentation. */
export function problemOf(error: GatewayError, status: number = errorCatalogue[error.code].status): Problem {
  const problem: Problem = {
    type: `/docs#${error.code}`,
    title: errorCatalogue[error.code].message,
    status,
    detail: error.message,
    code: error.code,
  };
  if (error.field !== undefined) problem.field = error.field;
  if (error.retryAfterMs !== undefined) problem.retryAfterMs = error.retryAfterMs;
  return problem;
}

/** The header field of an answer with this status; none for most. */
export function retryAfterOf({ retryAfterMs = 1_000 }: GatewayError, status: number): Record<string, string> {
  return status === 429 || status === 503 ? { "Retry-After": `${wholeSeconds(retryAfterMs)}` } : {};
}

/** Rounded up, so that a client that waits this long is not refused again. */
export const wholeSeconds = (ms: number): number => Math.ceil(ms / 1_000);
