import { z } from "zod";
import { member } from "./presence.ts";
import { errorBody } from "./problems.ts";
import { publication, sender } from "./publications.ts";
import { nodeId, ownCode, place, sessionId, timestamp, userId } from "./scalars.ts";
import { stateAnswer } from "./state.ts";
import type { ServerToClientEvents } from "./wire.ts";

/** The events that the gateway sends to clients, for its description. */

export interface ServerEventDescription {
  readonly summary: string;
  /** The first argument. */
  readonly payload: z.ZodType;
}

const { channel, epoch, offset } = place;
const { code, message } = errorBody.shape;

const members = (description: string) =>
  z
    .array(
      member.extend({
        connections: z.int().min(0).meta({ description: "The user's connections in the channel; 0 if it left." }),
      }),
    )
    .meta({ description });

export const serverEvents: Readonly<Record<keyof ServerToClientEvents | "connect_error", ServerEventDescription>> = {
  connect_error: {
    summary: "The handshake was refused; Socket.IO has this as `data` of the error.",
    payload: errorBody,
  },
  ready: {
    summary: "Once per connection, when the client is authenticated and, if recovered, has received what it missed.",
    payload: z.strictObject({
      nodeId,
      userId,
      sessionId,
      expiresAt: timestamp.meta({ description: "When the token expires." }),
      recovered: z.boolean().meta({ description: "Connection state recovery restored the subscriptions." }),
      positions: z
        .array(z.strictObject({ channel, epoch, offset }))
        .optional()
        .meta({ description: "If recovered: the position of each channel after everything sent before." }),
      serverTime: timestamp.meta({ description: "The server's clock." }),
    }),
  },
  publication: {
    summary: "A publication of a subscribed channel. Ephemeral ones have no position.",
    payload: z.union([publication, publication.omit({ epoch: true, offset: true })]),
  },
  position: {
    summary: "The position of a publication that this connection does not receive.",
    payload: z.strictObject({ channel, epoch, offset }),
  },
  presence: {
    summary: "Members of a subscribed channel that joined, left or changed.",
    payload: z.strictObject({
      channel,
      joined: members("Users whose first connection subscribed."),
      left: members("Users whose last connection is gone."),
      updated: members("Users whose connections, `info` or `data` changed."),
    }),
  },
  state: {
    summary: "Changed keys of a subscribed channel's state: the last change of each.",
    payload: z.strictObject({
      channel,
      revision: stateAnswer.shape.revision,
      changes: z
        .array(
          z.strictObject({
            key: z.string().meta({ description: "The key." }),
            value: z.unknown().meta({ description: "Null if the key was removed." }),
            from: sender
              .optional()
              .meta({ description: "Who changed it; absent if a backend did, or the key expired." }),
          }),
        )
        .meta({ description: "One for each key, with its new value; null if it was removed." }),
    }),
  },
  unsubscribed: {
    summary: "The server took a subscription away.",
    payload: z.strictObject({ channel, code, message }),
  },
  warning: {
    summary: "An event without an acknowledgement was refused; sent once per event name and code.",
    payload: z.strictObject({
      code,
      message,
      event: z.string().meta({ description: "The event that was refused." }),
    }),
  },
  "auth:expiring": {
    summary: "The token expires soon.",
    payload: z.strictObject({ expiresAt: timestamp.meta({ description: "When the token expires." }) }),
  },
  drain: {
    summary: "This node is shutting down; reconnect to another.",
    payload: z.strictObject({
      reconnectAfterMs: z
        .int()
        .min(0)
        .meta({ description: "Milliseconds after which to reconnect; spread, so that clients do not come at once." }),
    }),
  },
  closing: {
    summary: "The server disconnects now.",
    payload: z.strictObject({
      code: ownCode.meta({ description: "Why: a closing code, or one that a backend or an app chose." }),
      message: z.string().meta({ description: "Human-readable message." }),
      reconnect: z.boolean().meta({ description: "Whether the client should reconnect." }),
    }),
  },
};
