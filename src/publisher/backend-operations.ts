import type { z } from "zod";
import type { clientAnswers, clientRequestBody } from "../protocol/client-requests.ts";
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
import type { OrderWithTimeline } from "../protocol/order.ts";
import type { orderRemoved, ordersPage, ordersQuery } from "../protocol/orders.ts";
import type { presenceAnswer } from "../protocol/presence.ts";
import type { channelsAnswer, channelsQuery, historyAnswer, historyRemoved } from "../protocol/publications.ts";
import type {
  publishOrScheduleBody,
  scheduled,
  scheduledPage,
  scheduledQuery,
  scheduledRemoved,
} from "../protocol/scheduled.ts";
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
import type { stateAnswer, stateBody, stateSnapshot } from "../protocol/state.ts";
import type { ticketIssued } from "../protocol/streams.ts";
import type { UserData, UserErased } from "../protocol/users.ts";
import type { Position } from "../protocol/wire.ts";
import type { HttpMethod } from "./http.ts";

type Fields<Schema extends z.ZodType> = Partial<NonNullable<z.input<Schema>>>;
type OperationAnswer<Schema extends z.ZodType> = z.output<Schema>;

/** Requests and answers by OpenAPI operation; a request has the path parameters, the query and the body in one object. */
export interface BackendOperations {
  listChannels: { request: Fields<typeof channelsQuery>; answer: OperationAnswer<typeof channelsAnswer> };
  readHistory: {
    request: { channel: string; since?: Position; limit?: number };
    answer: OperationAnswer<typeof historyAnswer>;
  };
  deleteHistory: { request: { channel: string }; answer: OperationAnswer<typeof historyRemoved> };
  readPresence: { request: { channel: string }; answer: OperationAnswer<typeof presenceAnswer> };
  readState: { request: { channel: string }; answer: OperationAnswer<typeof stateSnapshot> };
  setState: { request: { channel: string } & z.input<typeof stateBody>; answer: OperationAnswer<typeof stateAnswer> };
  schedulePublication: {
    request: z.input<typeof publishOrScheduleBody> & ({ delayMs: number } | { publishAt: number });
    answer: OperationAnswer<typeof scheduled>;
  };
  listScheduled: { request: Fields<typeof scheduledQuery>; answer: OperationAnswer<typeof scheduledPage> };
  cancelScheduled: { request: { scheduleId: string }; answer: OperationAnswer<typeof scheduledRemoved> };

  readOrder: { request: { orderId: string }; answer: OrderWithTimeline };
  listOrders: { request: Fields<typeof ordersQuery>; answer: OperationAnswer<typeof ordersPage> };
  removeOrder: { request: { orderId: string }; answer: OperationAnswer<typeof orderRemoved> };

  listBoards: { request: Fields<typeof boardsQuery>; answer: OperationAnswer<typeof boardList> };
  readBoard: { request: { board: string } & Fields<typeof boardQuery>; answer: OperationAnswer<typeof boardPage> };
  readBoardMember: {
    request: { board: string; member: string } & Fields<typeof boardMemberQuery>;
    answer: OperationAnswer<typeof boardNeighbourhood>;
  };
  readRanks: { request: { board: string; members: string[] }; answer: OperationAnswer<typeof boardPage> };
  listSeasons: { request: { board: string }; answer: OperationAnswer<typeof boardSeasons> };
  submitScores: {
    request: { board: string } & z.input<typeof scoreBatchBody>;
    answer: OperationAnswer<typeof batchScoreResults>;
  };
  removeBoard: { request: { board: string }; answer: OperationAnswer<typeof boardRemoved> };
  removeBoardMember: { request: { board: string; member: string }; answer: OperationAnswer<typeof memberRemoved> };

  createSession: { request: z.input<typeof createSessionBody>; answer: OperationAnswer<typeof sessionCreated> };
  getSession: { request: { sessionId: string }; answer: OperationAnswer<typeof sessionAnswer> };
  refreshSession: {
    request: { sessionId: string } & Fields<typeof refreshSessionBody>;
    answer: OperationAnswer<typeof sessionRefreshed>;
  };
  issueToken: { request: { sessionId: string }; answer: OperationAnswer<typeof tokenIssued> };
  issueTicket: { request: { sessionId: string }; answer: OperationAnswer<typeof ticketIssued> };
  listUserSessions: { request: { userId: string }; answer: UserSessionsAnswer };
  endUserSessions: { request: { userId: string }; answer: OperationAnswer<typeof revocationAnswer> };
  revokeToken: { request: RevokeTokenBody; answer: OperationAnswer<typeof revocationAnswer> };

  listUserConnections: { request: { userId: string }; answer: OperationAnswer<typeof userConnectionsAnswer> };
  getUser: { request: { userId: string }; answer: UserData };
  eraseUser: { request: { userId: string }; answer: UserErased };
  blockUser: {
    request: { userId: string } & Fields<typeof blockUserBody>;
    answer: OperationAnswer<typeof disconnectionAnswer>;
  };
  unblockUser: { request: { userId: string }; answer: OperationAnswer<typeof disconnectionAnswer> };
  subscribeUser: { request: { userId: string; channel: string }; answer: OperationAnswer<typeof userChannelAnswer> };
  unsubscribeUser: { request: { userId: string; channel: string }; answer: OperationAnswer<typeof userChannelAnswer> };
  requestUser: {
    request: { userId: string } & z.input<typeof clientRequestBody>;
    answer: OperationAnswer<typeof clientAnswers>;
  };
  requestConnection: {
    request: { connectionId: string } & z.input<typeof clientRequestBody>;
    answer: OperationAnswer<typeof clientAnswers>;
  };
  takeLimit: { request: { name: string } & z.input<typeof takeLimitBody>; answer: OperationAnswer<typeof limitTaken> };
}

/** Method and path, and the milliseconds that the gateway waits for others if the request has no `timeoutMs`. */
export type Operation = readonly [HttpMethod, string, number?];

export const operations: Readonly<Record<keyof BackendOperations, Operation>> = {
  listChannels: ["GET", "/v1/channels"],
  readHistory: ["GET", "/v1/channels/{channel}/history"],
  deleteHistory: ["DELETE", "/v1/channels/{channel}/history"],
  readPresence: ["GET", "/v1/channels/{channel}/presence"],
  schedulePublication: ["POST", "/v1/publish"],
  readState: ["GET", "/v1/channels/{channel}/state"],
  setState: ["POST", "/v1/channels/{channel}/state"],
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
  getUser: ["GET", "/v1/users/{userId}"],
  eraseUser: ["DELETE", "/v1/users/{userId}"],
  blockUser: ["PUT", "/v1/users/{userId}/block"],
  unblockUser: ["DELETE", "/v1/users/{userId}/block"],
  subscribeUser: ["POST", "/v1/users/{userId}/subscribe"],
  unsubscribeUser: ["POST", "/v1/users/{userId}/unsubscribe"],
  requestUser: ["POST", "/v1/users/{userId}/request", 5_000],
  requestConnection: ["POST", "/v1/connections/{connectionId}/request", 5_000],
  takeLimit: ["POST", "/v1/limits/{name}/take"],
};
