import { z } from "zod";
import {
  boardAroundMessage,
  boardNeighbourhood,
  boardPage,
  boardRanksMessage,
  boardTopMessage,
  rankedEntry,
  scoreMessage,
  submittedScore,
} from "./leaderboards.ts";
import { order, orderParams, ordersListMessage, orderWithTimeline } from "./orders.ts";
import { presenceAnswer, presenceMessage, presenceSetMessage } from "./presence.ts";
import { errorBody } from "./problems.ts";
import {
  conflated,
  historyAnswer,
  historyMessage,
  publication,
  published,
  publishedEphemeral,
  publishMessage,
  subscribeMessage,
  unsubscribeMessage,
} from "./publications.ts";
import {
  authRefreshed,
  authRefreshMessage,
  revocationAnswer,
  sessionsListAnswer,
  sessionsListMessage,
  sessionsRevokeMessage,
} from "./sessions.ts";
import { stateAnswer, stateSetMessage } from "./state.ts";
import type { RequestName } from "./wire.ts";

/** The events that clients send to the gateway, for its description. */

export interface ClientEventDescription {
  readonly summary: string;
  /** What the handler parses. */
  readonly request: z.ZodType;
  /** Forms of the answer, without `ok`. */
  readonly answers: readonly z.ZodObject[];
}

const { channel, epoch, offset } = historyAnswer.shape;
const page = boardPage.omit({ season: true });

const subscribed = z.strictObject({
  channel,
  epoch,
  offset,
  recovered: z.boolean().meta({ description: "True if `publications` are exactly those after `since`." }),
  publications: z.array(publication).meta({ description: "What was missed, oldest first; none without `since`." }),
  skipped: z
    .array(z.int().min(1))
    .optional()
    .meta({ description: "Offsets after `since` that this connection does not receive." }),
  snapshot: z.unknown().optional().meta({ description: "State of the channel, if its kind has one." }),
  conflated,
});

export const clientEvents: Readonly<Record<RequestName, ClientEventDescription>> = {
  subscribe: {
    summary: "Subscribe to a channel, with `since` from a position.",
    request: subscribeMessage,
    answers: [subscribed],
  },
  unsubscribe: {
    summary: "End a subscription.",
    request: unsubscribeMessage,
    answers: [z.strictObject({ channel })],
  },
  publish: {
    summary: "Publish to a channel.",
    request: publishMessage,
    answers: [published, publishedEphemeral],
  },
  history: {
    summary: "Read the last publications of a channel, or those after a position.",
    request: historyMessage,
    answers: [historyAnswer],
  },
  presence: { summary: "List the members of a channel.", request: presenceMessage, answers: [presenceAnswer] },
  "presence:set": {
    summary: "Set what other members are shown of this connection.",
    request: presenceSetMessage,
    answers: [z.strictObject({ channel })],
  },
  "state:set": {
    summary: "Set or remove a key of a channel's state.",
    request: stateSetMessage,
    answers: [z.strictObject({ channel, key: stateSetMessage.shape.key, revision: stateAnswer.shape.revision })],
  },
  "leaderboard:top": { summary: "Read a page of a leaderboard.", request: boardTopMessage, answers: [page] },
  "leaderboard:around": {
    summary: "Read the entries around a member, by default oneself.",
    request: boardAroundMessage,
    answers: [
      boardNeighbourhood.extend({
        entry: rankedEntry.nullable().meta({ description: "The member's entry; null if it is not on the board." }),
      }),
    ],
  },
  "leaderboard:ranks": { summary: "Read the ranks of several members.", request: boardRanksMessage, answers: [page] },
  "leaderboard:submit": {
    summary: "Submit a score of one's own, on boards that allow it.",
    request: scoreMessage,
    answers: [submittedScore.omit({ total: true })],
  },
  "order:get": {
    summary: "Read an order to which one may subscribe.",
    request: orderParams,
    answers: [orderWithTimeline],
  },
  "orders:list": {
    summary: "List one's open orders.",
    request: ordersListMessage,
    answers: [
      z.strictObject({
        orders: z
          .array(order.omit({ data: true, signals: true }))
          .meta({ description: "The open orders of which the user is a party." }),
      }),
    ],
  },
  "sessions:list": { summary: "List one's sessions.", request: sessionsListMessage, answers: [sessionsListAnswer] },
  "sessions:revoke": {
    summary: "Revoke one of one's sessions, or all others.",
    request: sessionsRevokeMessage,
    answers: [revocationAnswer.pick({ revoked: true, disconnected: true })],
  },
  "auth:refresh": {
    summary: "Replace the token by a new one of the same session.",
    request: authRefreshMessage,
    answers: [authRefreshed],
  },
};

/** The acknowledgement of a refused event. */
export const refusedAnswer = z.strictObject({ ok: z.literal(false), error: errorBody }).meta({ id: "Refused" });

/** The acknowledgement of an event: one of its answers, or a refusal. */
export const acknowledgementOf = ({ answers }: ClientEventDescription): z.ZodType =>
  z.union([...answers.map((answer) => z.strictObject({ ok: z.literal(true), ...answer.shape })), refusedAnswer]);
