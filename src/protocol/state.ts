import { z } from "zod";
import { clientChannelName, eventName, idempotencyKey, jsonValue, timestamp } from "./scalars.ts";
import { maxBatchSize, sender } from "./publications.ts";

/** Schemas of the keyed state of channels: the client's event, the backend's call, and what both are answered. */

/** Max life of a key. */
const maxTtlSeconds = 30 * 86_400;

const change = {
  key: eventName.meta({ description: "The key: a name.", examples: ["cursor:alice"] }),
  value: jsonValue.meta({ description: "Any JSON value; null removes the key.", examples: [{ x: 10, y: 20 }] }),
  ttlSeconds: z
    .int()
    .min(1)
    .max(maxTtlSeconds)
    .optional()
    .meta({ description: "Seconds after which the key is removed unless it is set again." }),
};

/** Client event `state:set`. */
export const stateSetMessage = z.strictObject({
  channel: clientChannelName,
  ...change,
  own: z.boolean().optional().meta({ description: "True: the key is removed when this connection ends." }),
});

/** Body of `POST /v1/channels/{channel}/state`. */
export const stateBody = z
  .strictObject({
    changes: z
      .array(z.strictObject(change).meta({ id: "StateChange" }))
      .min(1)
      .max(maxBatchSize)
      .meta({ description: "Applied together or not at all; a key that occurs twice has its last value." }),
    idempotencyKey: idempotencyKey.optional(),
  })
  .meta({ id: "SetState" });

/** Answer of `POST /v1/channels/{channel}/state`. */
export const stateAnswer = z.strictObject({
  revision: z.int().min(0).meta({ description: "Grows by 1 with each call that changes something." }),
});

/** Answer of `GET /v1/channels/{channel}/state`, and snapshot of a channel whose kind has state. */
export const stateSnapshot = z
  .strictObject({
    revision: stateAnswer.shape.revision,
    entries: z
      .record(
        z.string(),
        z.strictObject({
          value: z.unknown(),
          from: sender.optional().meta({ description: "Who set it; absent if a backend did." }),
          updatedAt: timestamp.meta({ description: "When it was set." }),
        }),
      )
      .meta({ description: "By key.", examples: [{ title: { value: "Plans", updatedAt: 1_767_225_600_000 } }] }),
  })
  .meta({ id: "State" });
