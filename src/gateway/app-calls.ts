import type { CallRoute } from "../http/call-route.ts";
import type { AskedClients, ClientAnswers, ClientRequest } from "../protocol/client-requests.ts";
import type { CommandOf, CommandType } from "../protocol/commands.ts";
import type { disconnectBody } from "../protocol/sessions.ts";
import type { BackendOperations } from "../publisher/backend-operations.ts";
import type { HttpAnswers } from "../publisher/http.ts";
import { fromWire, toWire } from "../runtime/binary-json.ts";
import type { z } from "zod";

type CallInput<N extends keyof BackendOperations> = BackendOperations[N]["request"];
type CallAnswer<N extends keyof BackendOperations> = Promise<BackendOperations[N]["answer"]>;
type CallOptions<N extends keyof BackendOperations, Path extends string> = Omit<CallInput<N>, Path>;
type CallFields<T extends CommandType> = Omit<CommandOf<T>, "type">;
type CommandResultOf<T extends CommandType> = Promise<HttpAnswers[T]>;

/** The HTTP API as functions: the same checks, effects and answers. A refusal throws a GatewayError with its field. */
export interface AppCalls {
  readonly channels: {
    list(query?: CallInput<"listChannels">): CallAnswer<"listChannels">;
    history(channel: string, query?: CallOptions<"readHistory", "channel">): CallAnswer<"readHistory">;
    clearHistory(channel: string): CallAnswer<"deleteHistory">;
    presence(channel: string): CallAnswer<"readPresence">;
    state(channel: string): CallAnswer<"readState">;
    setState(channel: string, body: CallOptions<"setState", "channel">): CallAnswer<"setState">;
  };
  readonly scheduled: {
    list(query?: CallInput<"listScheduled">): CallAnswer<"listScheduled">;
    cancel(scheduleId: string): CallAnswer<"cancelScheduled">;
  };
  readonly orders: {
    create(order: CallFields<"order.create">): CommandResultOf<"order.create">;
    update(orderId: string, change: Omit<CallFields<"order.update">, "orderId">): CommandResultOf<"order.update">;
    event(event: CallFields<"order.event">): CommandResultOf<"order.event">;
    signal(signal: CallFields<"order.signal">): CommandResultOf<"order.signal">;
    get(orderId: string): CallAnswer<"readOrder">;
    list(query?: CallInput<"listOrders">): CallAnswer<"listOrders">;
    remove(orderId: string): CallAnswer<"removeOrder">;
  };
  readonly leaderboards: {
    list(query?: CallInput<"listBoards">): CallAnswer<"listBoards">;
    submit(score: CallFields<"score.submit">): CommandResultOf<"score.submit">;
    submitScores(board: string, scores: CallInput<"submitScores">["scores"]): CallAnswer<"submitScores">;
    top(board: string, query?: CallOptions<"readBoard", "board">): CallAnswer<"readBoard">;
    around(
      board: string,
      member: string,
      query?: CallOptions<"readBoardMember", "board" | "member">,
    ): CallAnswer<"readBoardMember">;
    ranks(board: string, members: string[]): CallAnswer<"readRanks">;
    seasons(board: string): CallAnswer<"listSeasons">;
    remove(board: string): CallAnswer<"removeBoard">;
    removeMember(board: string, member: string): CallAnswer<"removeBoardMember">;
  };
  readonly sessions: {
    /** The token is for the client. */
    create(login: CallInput<"createSession">): CallAnswer<"createSession">;
    get(sessionId: string): CallAnswer<"getSession">;
    /** Live connections have the new rights when it resolves. */
    update(
      sessionId: string,
      change: Omit<CallFields<"session.update">, "sessionId">,
    ): CommandResultOf<"session.update">;
    refresh(sessionId: string, options?: CallOptions<"refreshSession", "sessionId">): CallAnswer<"refreshSession">;
    issueToken(sessionId: string): CallAnswer<"issueToken">;
    issueTicket(sessionId: string): CallAnswer<"issueTicket">;
    list(userId: string): CallAnswer<"listUserSessions">;
    revoke(sessionId: string): CommandResultOf<"session.revoke">;
  };
  readonly tokens: { revoke(token: CallInput<"revokeToken">): CallAnswer<"revokeToken"> };
  readonly users: {
    connections(userId: string): CallAnswer<"listUserConnections">;
    /** Asks the user's clients on all nodes; binary arguments are allowed in both directions. */
    request(userId: string, request: ClientRequest): Promise<ClientAnswers>;
    subscribe(userId: string, channel: string): CallAnswer<"subscribeUser">;
    unsubscribe(userId: string, channel: string): CallAnswer<"unsubscribeUser">;
    revokeSessions(userId: string): CallAnswer<"endUserSessions">;
    disconnect(userId: string, options?: z.input<typeof disconnectBody>): CommandResultOf<"user.disconnect">;
    block(userId: string, block?: CallOptions<"blockUser", "userId">): CallAnswer<"blockUser">;
    unblock(userId: string): CallAnswer<"unblockUser">;
    /** Everything that is kept of a user. */
    get(userId: string): CallAnswer<"getUser">;
    /** Erases everything that is kept of a user, on every node. */
    erase(userId: string): CallAnswer<"eraseUser">;
  };
  readonly connections: { request(connectionId: string, request: ClientRequest): Promise<ClientAnswers> };
  readonly limits: { take(name: string, take: CallOptions<"takeLimit", "name">): CallAnswer<"takeLimit"> };
}

/** The types of `AppCalls` are those of the routes, whose schemas check what is passed. */
export function createAppCalls(callRoute: CallRoute): AppCalls {
  const call = callRoute as (operationId: string, request?: object) => Promise<never>;
  return {
    ...channelCalls(call),
    ...orderCalls(call),
    ...sessionCalls(call),
    ...userCalls(call),
    limits: { take: (name, take) => call("takeLimit", { ...take, name }) },
  };
}

type Operate = (operationId: string, request?: object) => Promise<never>;

const channelCalls = (call: Operate): Pick<AppCalls, "channels" | "scheduled"> => ({
  channels: {
    list: (query) => call("listChannels", { ...query }),
    history: (channel, query) => call("readHistory", { ...query, channel }),
    clearHistory: (channel) => call("deleteHistory", { channel }),
    presence: (channel) => call("readPresence", { channel }),
    state: (channel) => call("readState", { channel }),
    setState: (channel, body) => call("setState", { ...body, channel }),
  },
  scheduled: {
    list: (query) => call("listScheduled", { ...query }),
    cancel: (scheduleId) => call("cancelScheduled", { scheduleId }),
  },
});

const orderCalls = (call: Operate): Pick<AppCalls, "orders" | "leaderboards"> => ({
  orders: {
    create: (order) => call("createOrder", order),
    update: (orderId, change) => call("updateOrder", { ...change, orderId }),
    event: (event) => call("applyOrderEvent", event),
    signal: (signal) => call("signalOrder", signal),
    get: (orderId) => call("readOrder", { orderId }),
    list: (query) => call("listOrders", { ...query }),
    remove: (orderId) => call("removeOrder", { orderId }),
  },
  leaderboards: {
    list: (query) => call("listBoards", { ...query }),
    submit: (score) => call("submitScore", score),
    submitScores: (board, scores) => call("submitScores", { board, scores }),
    top: (board, query) => call("readBoard", { ...query, board }),
    around: (board, member, query) => call("readBoardMember", { ...query, board, member }),
    ranks: (board, members) => call("readRanks", { board, members }),
    seasons: (board) => call("listSeasons", { board }),
    remove: (board) => call("removeBoard", { board }),
    removeMember: (board, member) => call("removeBoardMember", { board, member }),
  },
});

const sessionCalls = (call: Operate): Pick<AppCalls, "sessions" | "tokens"> => ({
  sessions: {
    create: (login) => call("createSession", login),
    get: (sessionId) => call("getSession", { sessionId }),
    update: (sessionId, change) => call("updateSession", { ...change, sessionId }),
    refresh: (sessionId, options) => call("refreshSession", { ...options, sessionId }),
    issueToken: (sessionId) => call("issueToken", { sessionId }),
    issueTicket: (sessionId) => call("issueTicket", { sessionId }),
    list: (userId) => call("listUserSessions", { userId }),
    revoke: (sessionId) => call("endSession", { sessionId }),
  },
  tokens: { revoke: (token) => call("revokeToken", token) },
});

const userCalls = (call: Operate): Pick<AppCalls, "users" | "connections"> => ({
  users: {
    connections: (userId) => call("listUserConnections", { userId }),
    request: (userId, request) => askClients(call, "requestUser", { userId }, request),
    subscribe: (userId, channel) => call("subscribeUser", { userId, channel }),
    unsubscribe: (userId, channel) => call("unsubscribeUser", { userId, channel }),
    revokeSessions: (userId) => call("endUserSessions", { userId }),
    disconnect: (userId, options) => call("disconnectUser", { ...options, userId }),
    block: (userId, block) => call("blockUser", { ...block, userId }),
    unblock: (userId) => call("unblockUser", { userId }),
    get: (userId) => call("getUser", { userId }),
    erase: (userId) => call("eraseUser", { userId }),
  },
  connections: {
    request: (connectionId, request) => askClients(call, "requestConnection", { connectionId }, request),
  },
});

/** In process, binary arguments are passed as they are. */
async function askClients(
  call: Operate,
  operation: string,
  target: AskedClients,
  request: ClientRequest,
): Promise<ClientAnswers> {
  const { args } = request;
  const wire = Array.isArray(args) ? { args: args.map(toWire) } : {};
  const answers: ClientAnswers = await call(operation, { ...request, ...wire, ...target });
  return {
    ...answers,
    answers: answers.answers.map(({ connectionId, args: answer }) => ({ connectionId, args: answer.map(fromWire) })),
  };
}
