import { z } from "zod";
import { eventName, idempotencyKey, timestamp } from "./scalars.ts";

/** Schemas of limits as a service. */

/** Path of `POST /v1/limits/{name}/take`. */
export const limitParams = z.strictObject({
  name: eventName.meta({ description: "A limit configured under `limits.custom`.", examples: ["sms"] }),
});

/** Body of `POST /v1/limits/{name}/take`. */
export const takeLimitBody = z
  .strictObject({
    key: eventName.meta({ description: "Whom or what to limit, such as a user or an address.", examples: ["ada"] }),
    cost: z.int().min(1).max(1_000_000).optional().meta({ description: "Default: 1." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .meta({ id: "TakeLimit" });

/** Answer of `POST /v1/limits/{name}/take`. */
export const limitTaken = z
  .strictObject({
    allowed: z.boolean().meta({ description: "Whether the operation is allowed." }),
    limit: z.int().min(1).meta({ description: "Operations of cost 1 that the full limit allows." }),
    remaining: z.int().min(0).meta({ description: "Operations of cost 1 that are left now." }),
    resetAt: timestamp.meta({ description: "When the limit is fully available again if nothing more is taken." }),
    retryAfterMs: z.int().min(0).meta({ description: "0 if allowed, else when the same call may be allowed." }),
  })
  .meta({ id: "LimitTaken" });
