import { z } from "zod";
import { isName, maxNameLength, nameRule } from "./names.ts";

/** Building blocks of the schemas: every name and every number that comes from outside passes one of these. */
const name = z.string().refine(isName, nameRule()).meta({ minLength: 1, maxLength: maxNameLength });

export const channelName = name;
export const eventName = name;
export const userId = name;
export const sessionId = name;
export const memberName = name;
export const idempotencyKey = name;

/** Any JSON value; size, depth and form were checked at the gate before a schema saw it. */
export const jsonValue = z.unknown().refine((value) => value !== undefined, "is required");

/** Epoch milliseconds. */
export const timestamp = z.int().min(0);

export const position = z.strictObject({ epoch: z.string().max(64), offset: z.int().min(0) });
export type Position = z.output<typeof position>;

/** A number in a query or path, where everything is text: plain digits, then whatever `schema` asks. */
export const wholeNumber = <S extends z.ZodType<number, number>>(schema: S) =>
  z.preprocess((text) => (typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : text), schema);
