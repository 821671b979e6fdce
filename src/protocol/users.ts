import { z } from "zod";
import { boardPage, rankedEntry } from "./leaderboards.ts";
import { order } from "./orders.ts";
import { place, timestamp, userId } from "./scalars.ts";
import { scheduledPublication } from "./scheduled.ts";
import { confirmations, session, userConnection } from "./sessions.ts";

/** Schemas of everything kept of a user. */

/** Max entries of each list. */
export const maxUserData = 1_000;

export const userScore = z
  .strictObject({
    board: boardPage.shape.board,
    season: z.string().nullable().meta({ description: "The season of the score; null if the board has no seasons." }),
    ...rankedEntry.shape,
  })
  .meta({ id: "UserScore" });

export const userBlock = z
  .strictObject({
    until: timestamp.optional().meta({ description: "When the block ends; absent if never." }),
    reason: z.string().optional().meta({ description: "As given with the block; absent if nothing was." }),
  })
  .meta({ id: "UserBlock", description: "Present while the user is blocked." });

const stateKey = z
  .strictObject({
    channel: place.channel,
    key: z.string().meta({ description: "The key." }),
    value: z.unknown().meta({ description: "Its value." }),
    updatedAt: timestamp.meta({ description: "When it was set." }),
  })
  .meta({ id: "UserStateKey" });

/** What is kept of a user, as `GET /v1/users/{userId}` lists it. */
const userDataFields = {
  sessions: z.array(session).meta({ description: "Live sessions, oldest first." }),
  connections: z
    .array(userConnection)
    .meta({ description: "Open connections, with their subscriptions; at most 200." }),
  block: userBlock.optional().meta({ description: "The user's block; absent while there is none." }),
  scores: z.array(userScore).meta({ description: "On all boards, past seasons included." }),
  orders: z.array(order).meta({ description: "Orders of which the user is a party, the newest first." }),
  state: z.array(stateKey).meta({ description: "Keys in the state of channels that the user set last." }),
  scheduled: z
    .array(scheduledPublication)
    .meta({ description: "Scheduled publications from the user, or to a channel of the user's own." }),
};

/** Answer of `GET /v1/users/{userId}`. */
export const userDataAnswer = z
  .strictObject({ userId, ...userDataFields })
  .meta({ id: "UserData", description: `Lists have at most ${maxUserData} entries.` });
export type UserData = z.output<typeof userDataAnswer>;

const removed = (description: string) => z.int().min(0).meta({ description });

/** What `DELETE /v1/users/{userId}` removes, by kind. */
export const removedUserData = z.strictObject({
  sessions: removed("Sessions that were live."),
  presence: removed("Connections that were closed, with their presence and subscriptions."),
  recoveryRecords: removed("Records by which disconnected clients could recover."),
  blocks: removed("1 if the user was blocked."),
  limits: removed("Limiters that had counted the user."),
  scores: removed("Scores on all boards, past seasons included."),
  orders: removed("Orders that were deleted, because the user was the customer."),
  parties: removed("Orders of others that the user is no longer a party of."),
  state: removed("Keys in the state of channels that the user set last, and all keys of the user's own channels."),
  scheduled: removed("Scheduled publications that were cancelled."),
  publications: removed("Publications in the history of the user's own channels."),
});
export type RemovedUserData = z.output<typeof removedUserData>;

/** Answer of `DELETE /v1/users/{userId}`. */
export const userErased = z
  .strictObject({ removed: removedUserData.meta({ description: "What was removed, by kind." }), ...confirmations })
  .meta({ id: "UserErased" });
export type UserErased = z.output<typeof userErased>;
