import { z } from "zod";
import { clientChannelName, jsonValue, place, userId } from "./scalars.ts";

/** Schemas of who is in a channel: the client's event, the backend's call, and what both are answered. */

/** Client event `presence`. */
export const presenceMessage = z.strictObject({ channel: clientChannelName });

/** Client event `presence:set`. */
export const presenceSetMessage = z.strictObject({
  channel: clientChannelName,
  data: jsonValue.meta({ description: "Shown to others as `data` of the member; at most 1 KiB of JSON." }),
});

export const member = z
  .strictObject({
    userId,
    connections: z.int().min(1).meta({ description: "The user's connections in the channel, across all nodes." }),
    info: jsonValue.optional().meta({ description: "The public part of the user's session." }),
    data: jsonValue.optional().meta({ description: "What one of the user's connections set last, until it ends." }),
  })
  .meta({ id: "Member" });

/** Answer of `presence` on both roads. */
export const presenceAnswer = z
  .strictObject({
    channel: place.channel,
    members: z.array(member).meta({ description: "Users present, each listed once; at most 1000." }),
    count: z.int().min(0).meta({ description: "Total number of users, even if `members` is truncated." }),
  })
  .meta({ id: "Presence" });
