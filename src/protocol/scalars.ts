import { z } from "zod";
import { isName } from "./names.ts";

/** Building blocks of the schemas: every name and every number that comes from outside passes one of these. */
const nameMessage = "must be 1 to 256 characters without control characters";

export const channelName = z.string().refine(isName, nameMessage);
export const eventName = z.string().refine(isName, nameMessage);
export const userId = z.string().refine(isName, nameMessage);
export const sessionId = z.string().refine(isName, nameMessage);
export const boardName = z.string().refine(isName, nameMessage);
export const memberName = z.string().refine(isName, nameMessage);
export const orderId = z.string().refine(isName, nameMessage);
export const idempotencyKey = z.string().refine(isName, nameMessage);

/** Any JSON value; size, depth and form were checked at the gate before a schema saw it. */
export const jsonValue = z.unknown().refine((value) => value !== undefined, "is required");

/** Epoch milliseconds. */
export const timestamp = z.int().min(0);

export const position = z.strictObject({ epoch: z.string().max(64), offset: z.int().min(0) });
export type Position = z.output<typeof position>;
