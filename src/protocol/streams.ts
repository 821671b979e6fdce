import { z } from "zod";
import { channelName, clientChannelName, place, timestamp, wholeNumber } from "./scalars.ts";
import { conflated, namesWholePosition, positionQuery, publication } from "./publications.ts";

/** Schemas of streams without a library: server-sent events, the long poll, and the tickets of `EventSource`. */

/** Max milliseconds that a long poll waits, and how long it waits by default. */
export const maxPollWaitMs = 30_000;
const defaultPollWaitMs = 25_000;

/** Max channels of one stream; the limit on subscriptions may be lower. */
const maxStreamChannels = 256;

/** Max length of an event id: it has to fit into a request header. */
export const maxEventIdLength = 12_288;

const ticket = z.string().min(1).max(128);

const credentials = {
  ticket: ticket.optional().meta({ description: "A one-time ticket, for `EventSource`, which cannot send a token." }),
};

/** Query of `GET /v1/stream`. */
export const streamQuery = z.strictObject({
  channel: z
    .array(channelName)
    .min(1, "is required")
    .max(maxStreamChannels)
    .meta({ description: "Full names of the channels; repeat the parameter.", examples: [["chat:lobby"]] }),
  lastEventId: z
    .string()
    .max(maxEventIdLength)
    .optional()
    .meta({ description: "Same as the `Last-Event-ID` header, for a new `EventSource` with a new ticket." }),
  ...credentials,
});

/** A channel that a client reads; those of a backend may contain a `*`. */
export const clientStreamChannel = z.strictObject({ channel: clientChannelName });

/** Query of `GET /v1/channels/{channel}/poll`. */
export const pollQuery = z
  .strictObject({
    ...positionQuery,
    revision: wholeNumber(z.int().min(0))
      .optional()
      .meta({ description: "Revision of the state that the client has: any other is returned at once." }),
    waitMs: wholeNumber(z.int().min(0).max(maxPollWaitMs))
      .default(defaultPollWaitMs)
      .meta({ description: `Max milliseconds to wait for a publication. Default: ${defaultPollWaitMs}.` }),
    ...credentials,
  })
  .superRefine(namesWholePosition);

/** Answer of a long poll; `epoch` and `offset` are where the next one starts. */
export const pollAnswer = z
  .strictObject({
    ...place,
    recovered: z.boolean().meta({ description: "True if `publications` are exactly those after the given position." }),
    publications: z.array(publication).meta({ description: "Oldest first; none if the wait ended without one." }),
    snapshot: z
      .record(z.string(), z.unknown())
      .optional()
      .meta({ description: "State of the channel, if its kind has one." }),
    conflated,
  })
  .meta({ id: "Poll" });

/** Body of `text/event-stream`, for the API's description. */
export const eventStream = z.string().meta({
  id: "EventStream",
  description:
    "Events `ready`, `subscribed`, `publication`, `presence`, `state`, `unsubscribed`, `drain` and `closing`.",
  examples: [
    'event: publication\ndata: {"channel":"chat:lobby","epoch":"e1","offset":1,"event":"said","data":{}}\nid: ;q0~e1~1\n\n',
  ],
});

/** Answer of `POST /v1/sessions/{sessionId}/ticket`. */
export const ticketIssued = z
  .strictObject({
    ticket: ticket.meta({ description: "Opens one stream as `?ticket=…`." }),
    expiresAt: timestamp.meta({ description: "By when the stream must be opened." }),
  })
  .meta({ id: "Ticket" });
