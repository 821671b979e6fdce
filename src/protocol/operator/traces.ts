import { z } from "zod";
import { channelName, timestamp, userId } from "../scalars.ts";

/** Schemas of live traces, under `/v1/operator/traces`. */

export const maxTraceSeconds = 600;

const traceId = z.string().meta({ description: "The trace's id." });

const subject = {
  userId: userId.optional().meta({ description: "The user to trace." }),
  connectionId: z.string().min(1).max(64).optional().meta({ description: "The connection to trace." }),
  channel: channelName.optional().meta({ description: "The channel to trace." }),
};

export const traceBody = z
  .strictObject({
    ...subject,
    seconds: z
      .int()
      .min(1)
      .max(maxTraceSeconds)
      .default(maxTraceSeconds)
      .meta({ description: `After which it ends by itself. Default and maximum: ${maxTraceSeconds}.` }),
  })
  .refine(
    ({ userId: user, connectionId, channel }) =>
      [user, connectionId, channel].filter((one) => one !== undefined).length === 1,
    "must contain exactly one of userId, connectionId and channel",
  );
export type TraceBody = z.output<typeof traceBody>;

export const liveTrace = z
  .object({
    traceId,
    ...subject,
    startedBy: z.string().meta({ description: "Name of the operator." }),
    startedAt: timestamp.meta({ description: "When it was started." }),
    endsAt: timestamp.meta({ description: "When it ends by itself." }),
  })
  .meta({ id: "LiveTrace" });
export type LiveTrace = z.output<typeof liveTrace>;

export const traceKinds = [
  "handshake",
  "event",
  "command",
  "delivery",
  "recovery",
  "unsubscribed",
  "refusal",
  "act",
  "closing",
  "disconnect",
] as const;
export type TraceKind = (typeof traceKinds)[number];

export const tracedEvent = z
  .object({
    at: timestamp,
    place: z.int().meta({ description: "Increases with each event of a node." }),
    kind: z.enum(traceKinds),
    step: z.string().optional().meta({ description: "Of a handshake: `authenticated`, `ready` or `refused`." }),
    userId: z.string().optional(),
    sessionId: z.string().optional(),
    connectionId: z.string().optional(),
    channel: z.string().optional(),
    event: z.string().optional().meta({ description: "A client event, the type of a command, or an act." }),
    args: z
      .string()
      .optional()
      .meta({ description: "Bounded JSON. Absent for viewers, unless `CONSOLE_PAYLOADS=show`." }),
    answer: z.string().optional().meta({ description: "As `args`." }),
    ms: z.number().optional().meta({ description: "Duration." }),
    code: z.string().optional(),
    rule: z.string().optional().meta({ description: "The rule, claim or limiter that decided." }),
    detail: z.string().optional(),
    path: z.string().optional().meta({
      description: "How a publication came here: `http → log`, and on each delivering node `log → connection`.",
    }),
    position: z.object({ epoch: z.string(), offset: z.int() }).optional(),
    receivers: z.int().optional().meta({ description: "Connections of the node that a publication was delivered to." }),
    connectionIds: z.array(z.string()).optional().meta({ description: "Those of the traced user or connection." }),
    recovered: z.boolean().optional(),
    from: z.string().optional().meta({ description: "Of a recovery: the position or timestamp that the client had." }),
    to: z.string().optional(),
    missed: z.int().optional().meta({ description: "Publications that a recovery delivered." }),
    address: z.string().optional(),
    transport: z.string().optional(),
  })
  .meta({ id: "TracedEvent" });
export type TracedEvent = z.output<typeof tracedEvent>;

const silent = z.array(z.string()).meta({ description: "Living nodes that did not answer in time." });

export const traceStarted = z.object({ ...liveTrace.shape, nodes: z.int(), acknowledged: z.int() });
export const tracesAnswer = z.object({ traces: z.array(liveTrace), silent });
export const traceParams = z.object({ traceId: traceId.regex(/^[\w-]{1,64}$/) });

/** `<node>:<place>` of each node, separated by commas. */
export const traceQuery = z.strictObject({
  cursor: z
    .string()
    .max(8_192)
    .regex(/^([\w.-]{1,128}:\d{1,16}(,|$))+$/, "is not a cursor of a trace")
    .optional()
    .meta({ description: "Of the previous page; only later events are returned." }),
});
export const tracePage = z.object({
  trace: liveTrace,
  events: z.array(z.object({ nodeId: z.string(), ...tracedEvent.shape })).meta({ description: "Oldest first." }),
  cursor: z.string().optional().meta({ description: "Of the next page." }),
  skipped: z.int().meta({ description: "Events that were not kept, because there were more than a trace keeps." }),
  hasEnded: z.boolean(),
  silent,
});
export const traceStopped = z.object({ stopped: z.int(), nodes: z.int(), acknowledged: z.int() });
