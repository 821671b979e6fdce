import { z } from "zod";
import { scoreBody, scoreCommand } from "./leaderboards.ts";
import { orderFields, orderId } from "./orders.ts";
import { commandMeta, publishBodyFields } from "./publications.ts";
import { idempotencyKey, sessionId, userId } from "./scalars.ts";
import { disconnectBody, updateSessionFields } from "./sessions.ts";

/** Commands of the commands stream: `type`, and the fields of the corresponding HTTP call. */
const key = { idempotencyKey: idempotencyKey.optional() };
const meta = commandMeta;

const schemas = [
  z.strictObject({ type: z.literal("publish"), ...publishBodyFields }),
  z.strictObject({ type: z.literal("order.create"), meta, ...orderFields.create }),
  z.strictObject({ type: z.literal("order.update"), meta, orderId, ...orderFields.update }),
  z.strictObject({ type: z.literal("order.event"), meta, orderId, ...orderFields.event }),
  z.strictObject({ type: z.literal("order.signal"), meta, orderId, ...orderFields.signal }),
  z.strictObject({
    type: z.literal("score.submit"),
    meta,
    ...scoreCommand.shape,
    idempotencyKey: scoreBody.shape.idempotencyKey,
  }),
  z.strictObject({ type: z.literal("session.update"), meta, sessionId, ...updateSessionFields }),
  z.strictObject({ type: z.literal("session.revoke"), meta, sessionId, ...key }),
  z.strictObject({ type: z.literal("user.disconnect"), meta, userId, ...disconnectBody.unwrap().shape, ...key }),
] as const;

export const command = z.discriminatedUnion("type", schemas).meta({ id: "Command" });
export type Command = z.output<typeof command>;
export type CommandType = Command["type"];
export const commandTypes = schemas.map(({ shape }) => shape.type.value);
export type CommandOf<T extends CommandType> = Extract<Command, { type: T }>;
