import { z } from "zod";
import { isName, maxNameLength, nameRule } from "./names.ts";

/** Building blocks of the schemas: every untrusted name and number passes one of these. */
const name = z.string().refine(isName, nameRule()).meta({ minLength: 1, maxLength: maxNameLength });

/** A channel, or what its name starts with. */
export const channelPrefix = name;
/** A channel that a backend names. One that ends with a `*` is a pattern, which would reach no subscriber. */
export const channelName = name.refine((text) => !text.endsWith("*"), "must name one channel; * is for grants only");
/** A channel to subscribe to, or that a client names: no `*` at all. */
export const clientChannelName = name
  .refine((text) => !text.includes("*"), "must not contain *")
  .meta({ description: "The channel's full name.", examples: ["chat:lobby"] });
export const eventName = name;
export const userId = name;
export const sessionId = name;
export const memberName = name;
export const idempotencyKey = name;

/** Any JSON value; its size, depth and form were checked before (`gate.ts`). */
export const jsonValue = z.unknown().refine((value) => value !== undefined, "is required");

/** Epoch milliseconds. */
export const timestamp = z.int().min(0);

/** Epoch milliseconds that a backend names. Less (a time in 1973) is a time in seconds. */
export const timestampOfBackend = timestamp.min(100_000_000_000, "must be in epoch milliseconds");

export const position = z.strictObject({ epoch: z.string().max(64), offset: z.int().min(0) });
export type Position = z.output<typeof position>;

/** A number in a query or path, where everything is text: digits, checked by `schema`. */
export const wholeNumber = <S extends z.ZodType<number, number>>(schema: S) =>
  z.preprocess((text) => (typeof text === "string" && /^-?\d{1,16}$/.test(text) ? Number(text) : text), schema);
