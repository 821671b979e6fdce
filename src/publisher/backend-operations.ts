import type { z } from "zod";
import type {
  batchScoreResults,
  boardList,
  boardMemberQuery,
  boardNeighbourhood,
  boardPage,
  boardQuery,
  boardRemoved,
  boardSeasons,
  boardsQuery,
  memberRemoved,
  scoreBatchBody,
} from "../protocol/leaderboards.ts";
import type { limitTaken, takeLimitBody } from "../protocol/limits.ts";
import type { orderRemoved, ordersPage, ordersQuery, OrderWithTimeline } from "../protocol/orders.ts";
import type { presenceAnswer } from "../protocol/presence.ts";
import type { channelsAnswer, channelsQuery, historyAnswer, historyRemoved } from "../protocol/publications.ts";
import type { scheduledPage, scheduledQuery, scheduledRemoved } from "../protocol/scheduled.ts";
import type {
  blockUserBody,
  createSessionBody,
  disconnectionAnswer,
  refreshSessionBody,
  revocationAnswer,
  RevokeTokenBody,
  sessionAnswer,
  sessionCreated,
  sessionRefreshed,
  tokenIssued,
  userChannelAnswer,
  userConnectionsAnswer,
  UserSessionsAnswer,
} from "../protocol/sessions.ts";
import type { ticketIssued } from "../protocol/streams.ts";
import type { Position } from "../protocol/wire.ts";
import type { HttpMethod } from "./http.ts";

type Fields<Schema extends z.ZodType> = Partial<NonNullable<z.input<Schema>>>;
type AnswerOf<Schema extends z.ZodType> = z.output<Schema>;

/** Requests and answers by OpenAPI operation; a request has the path parameters, the query and the body in one object. */
export interface BackendOperations {
  listChannels: { request: Fields<typeof channelsQuery>; answer: AnswerOf<typeof channelsAnswer> };
  readHistory: {
    request: { channel: string; since?: Position; limit?: number };
    answer: AnswerOf<typeof historyAnswer>;
  };
  deleteHistory: { request: { channel: string }; answer: AnswerOf<typeof historyRemoved> };
  readPresence: { request: { channel: string }; answer: AnswerOf<typeof presenceAnswer> };
  listScheduled: { request: Fields<typeof scheduledQuery>; answer: AnswerOf<typeof scheduledPage> };
  cancelScheduled: { request: { scheduleId: string }; answer: AnswerOf<typeof scheduledRemoved> };

  readOrder: { request: { orderId: string }; answer: OrderWithTimeline };
  listOrders: { request: Fields<typeof ordersQuery>; answer: AnswerOf<typeof ordersPage> };
  removeOrder: { request: { orderId: string }; answer: AnswerOf<typeof orderRemoved> };

  listBoards: { request: Fields<typeof boardsQuery>; answer: AnswerOf<typeof boardList> };
  readBoard: { request: { board: string } & Fields<typeof boardQuery>; answer: AnswerOf<typeof boardPage> };
  readBoardMember: {
    request: { board: string; member: string } & Fields<typeof boardMemberQuery>;
    answer: AnswerOf<typeof boardNeighbourhood>;
  };
  readRanks: { request: { board: string; members: string[] }; answer: AnswerOf<typeof boardPage> };
  listSeasons: { request: { board: string }; answer: AnswerOf<typeof boardSeasons> };
  submitScores: {
    request: { board: string } & z.input<typeof scoreBatchBody>;
    answer: AnswerOf<typeof batchScoreResults>;
  };
  removeBoard: { request: { board: string }; answer: AnswerOf<typeof boardRemoved> };
  removeBoardMember: { request: { board: string; member: string }; answer: AnswerOf<typeof memberRemoved> };

  createSession: { request: z.input<typeof createSessionBody>; answer: AnswerOf<typeof sessionCreated> };
  getSession: { request: { sessionId: string }; answer: AnswerOf<typeof sessionAnswer> };
  refreshSession: {
    request: { sessionId: string } & Fields<typeof refreshSessionBody>;
    answer: AnswerOf<typeof sessionRefreshed>;
  };
  issueToken: { request: { sessionId: string }; answer: AnswerOf<typeof tokenIssued> };
  issueTicket: { request: { sessionId: string }; answer: AnswerOf<typeof ticketIssued> };
  listUserSessions: { request: { userId: string }; answer: UserSessionsAnswer };
  endUserSessions: { request: { userId: string }; answer: AnswerOf<typeof revocationAnswer> };
  revokeToken: { request: RevokeTokenBody; answer: AnswerOf<typeof revocationAnswer> };

  listUserConnections: { request: { userId: string }; answer: AnswerOf<typeof userConnectionsAnswer> };
  blockUser: {
    request: { userId: string } & Fields<typeof blockUserBody>;
    answer: AnswerOf<typeof disconnectionAnswer>;
  };
  unblockUser: { request: { userId: string }; answer: AnswerOf<typeof disconnectionAnswer> };
  subscribeUser: { request: { userId: string; channel: string }; answer: AnswerOf<typeof userChannelAnswer> };
  unsubscribeUser: { request: { userId: string; channel: string }; answer: AnswerOf<typeof userChannelAnswer> };
  takeLimit: { request: { name: string } & z.input<typeof takeLimitBody>; answer: AnswerOf<typeof limitTaken> };
}

/** Method and path of each operation. */
export const operations: Readonly<Record<keyof BackendOperations, readonly [HttpMethod, string]>> = {
  listChannels: ["GET", "/v1/channels"],
  readHistory: ["GET", "/v1/channels/{channel}/history"],
  deleteHistory: ["DELETE", "/v1/channels/{channel}/history"],
  readPresence: ["GET", "/v1/channels/{channel}/presence"],
  listScheduled: ["GET", "/v1/scheduled"],
  cancelScheduled: ["DELETE", "/v1/scheduled/{scheduleId}"],
  readOrder: ["GET", "/v1/orders/{orderId}"],
  listOrders: ["GET", "/v1/orders"],
  removeOrder: ["DELETE", "/v1/orders/{orderId}"],
  listBoards: ["GET", "/v1/leaderboards"],
  readBoard: ["GET", "/v1/leaderboards/{board}"],
  readBoardMember: ["GET", "/v1/leaderboards/{board}/members/{member}"],
  readRanks: ["POST", "/v1/leaderboards/{board}/ranks"],
  listSeasons: ["GET", "/v1/leaderboards/{board}/seasons"],
  submitScores: ["POST", "/v1/leaderboards/{board}/scores"],
  removeBoard: ["DELETE", "/v1/leaderboards/{board}"],
  removeBoardMember: ["DELETE", "/v1/leaderboards/{board}/members/{member}"],
  createSession: ["POST", "/v1/sessions"],
  getSession: ["GET", "/v1/sessions/{sessionId}"],
  refreshSession: ["POST", "/v1/sessions/{sessionId}/refresh"],
  issueToken: ["POST", "/v1/sessions/{sessionId}/token"],
  issueTicket: ["POST", "/v1/sessions/{sessionId}/ticket"],
  listUserSessions: ["GET", "/v1/users/{userId}/sessions"],
  endUserSessions: ["DELETE", "/v1/users/{userId}/sessions"],
  revokeToken: ["POST", "/v1/tokens/revoke"],
  listUserConnections: ["GET", "/v1/users/{userId}/connections"],
  blockUser: ["PUT", "/v1/users/{userId}/block"],
  unblockUser: ["DELETE", "/v1/users/{userId}/block"],
  subscribeUser: ["POST", "/v1/users/{userId}/subscribe"],
  unsubscribeUser: ["POST", "/v1/users/{userId}/unsubscribe"],
  takeLimit: ["POST", "/v1/limits/{name}/take"],
};
