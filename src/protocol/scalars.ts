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
export const userId = name.meta({ description: "The user's id." });
export const sessionId = name.meta({ description: "The session's id." });
export const memberName = name.meta({ description: "The member: usually a user's id." });
export const idempotencyKey = name.meta({
  description: "A retry with the same key and content returns the first response and has no other effect.",
});

/** Code of a refusal or a closing that a backend or an app may choose itself. */
export const ownCode = z.string().regex(/^[\w:.-]{1,64}$/, "must be 1 to 64 letters, digits, _, :, . or -");

/** Any JSON value; its size, depth and form were checked before (`gate.ts`). */
export const jsonValue = z.unknown().refine((value) => value !== undefined, "is required");

/** Epoch milliseconds. */
export const timestamp = z.int().min(0);

/** Epoch milliseconds that a backend names. Less (a time in 1973) is a time in seconds. */
const timestampSince1973 = (message: string) => timestamp.min(100_000_000_000, message);
export const timestampOfBackend = timestampSince1973("must be in epoch milliseconds");
export const notInFuture = "must be a time in the future, in epoch milliseconds";
/** Whether it is in the future is decided when the call is performed. */
export const futureTimestamp = timestampSince1973(notInFuture);

export const position = z.strictObject({ epoch: z.string().max(64), offset: z.int().min(0) });
export type Position = z.output<typeof position>;

// What many answers have

/** The place of something in a channel. */
export const place = {
  channel: z.string().meta({ description: "The channel's full name.", examples: ["chat:lobby"] }),
  epoch: z.string().meta({ description: "Identifies the channel's log; changes if the log was lost or reset." }),
  offset: z.int().min(0).meta({ description: "Position in the channel; offsets start at 1 without gaps." }),
};
export const nodeId = z.string().meta({ description: "The node's id." });
export const connectionId = z.string().meta({ description: "The connection's id.", examples: ["Jx9…"] });
export const clientAddress = z.string().meta({ description: "The client's IP address." });
export const queuedBytes = z.int().min(0).meta({ description: "Bytes that wait for clients to read them." });

/** A number in a query or path, where everything is text: digits, checked by `schema`. */
export const wholeNumber = <S extends z.ZodType<number, number>>(schema: S) =>
  z.preprocess((text) => (typeof text === "string" && /^-?\d{1,16}$/.test(text) ? Number(text) : text), schema);
