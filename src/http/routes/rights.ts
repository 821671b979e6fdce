import type { LiveRights } from "../../auth/live-rights.ts";
import type { ConnectionsOf } from "../../auth/revocations.ts";
import type { Sessions } from "../../auth/sessions.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { wrong } from "../../protocol/parse-with.ts";
import { notInFuture } from "../../protocol/scalars.ts";
import {
  blockUserBody,
  disconnectionAnswer,
  refreshSessionBody,
  sessionAnswer,
  sessionParams,
  sessionRefreshed,
  sessionUpdated,
  updateSessionBody,
  userChannelAnswer,
  userConnectionsAnswer,
  userChannelBody,
  userParams,
} from "../../protocol/sessions.ts";
import type { Clock } from "../../runtime/clock.ts";
import { route, type Route } from "../route.ts";
import { toEntry } from "./sessions.ts";

export interface RightsRouteDeps {
  sessions: Pick<Sessions, "get">;
  liveRights: LiveRights;
  connectionsOf: ConnectionsOf;
  connectionsOfUser: ConnectionsOfUser;
  /** Throws `unknown_channel`. */
  checkChannel: (channel: string) => void;
  clock: Pick<Clock, "now">;
}

/** A user's connections on all nodes that answer. */
export type ConnectionsOfUser = (userId: string) => Promise<{
  connections: UserConnection[];
  nodes: number;
  acknowledged: number;
}>;

/** A connection as a node reports it. */
export interface UserConnection {
  connectionId: string;
  nodeId: string;
  sessionId: string;
  address: string;
  userAgent?: string | undefined;
  connectedAt: number;
  queuedBytes: number;
  channels: { channel: string }[];
}

/** Reads and changes sessions and rights of users who are signed in. */
export function createRightsRoutes(deps: RightsRouteDeps): Route[] {
  return [
    getSession(deps),
    updateSession(deps),
    refreshSession(deps),
    listConnections(deps),
    ...userChannelRoutes(deps),
    ...blockRoutes(deps),
  ];
}

function getSession({ sessions, connectionsOf }: RightsRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/sessions/{sessionId}",
    operationId: "getSession",
    tag: "Sessions",
    summary: "Read a session.",
    refusals: ["not_found"],
    params: sessionParams,
    answer: sessionAnswer,
  } as const;

  return route(definition, async ({ params: { sessionId } }) => {
    const session = await sessions.get(sessionId);
    if (session === undefined) throw new GatewayError("not_found", "The session does not exist or has ended.");
    return { body: { session: toEntry(session, await connectionsOf([session.sessionId])) } };
  });
}

function updateSession({ liveRights, connectionsOf }: RightsRouteDeps): Route {
  const definition = {
    method: "patch",
    path: "/v1/sessions/{sessionId}",
    operationId: "updateSession",
    tag: "Sessions",
    summary: "Change the rights or data of a session; its live connections have them when this returns.",
    description:
      "Subscriptions that are no longer allowed are ended with `unsubscribed`. If `acknowledged` equals `nodes`, this " +
      "holds on every node. Tokens issued before the change no longer determine roles and channels.",
    refusals: ["not_found"],
    params: sessionParams,
    body: updateSessionBody,
    answer: sessionUpdated,
  } as const;

  return route(definition, async ({ params: { sessionId }, body: { idempotencyKey: _key, ...change } }) => {
    const { session, connections, nodes, acknowledged } = await liveRights.update(sessionId, change);
    const entry = toEntry(session, await connectionsOf([session.sessionId]));
    return { body: { session: entry, nodes, acknowledged }, acted: connections };
  });
}

function refreshSession({ liveRights }: RightsRouteDeps): Route {
  const definition = {
    method: "post",
    path: "/v1/sessions/{sessionId}/refresh",
    operationId: "refreshSession",
    tag: "Sessions",
    summary: "Extend a session.",
    refusals: ["not_found"],
    params: sessionParams,
    body: refreshSessionBody,
    answer: sessionRefreshed,
  } as const;

  return route(definition, async ({ params, body = {} }) => ({
    body: await liveRights.refresh(params.sessionId, body.ttlSeconds),
  }));
}

function listConnections({ connectionsOfUser }: RightsRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/users/{userId}/connections",
    operationId: "listUserConnections",
    tag: "Sessions",
    summary: "List a user's open connections on all nodes.",
    description: "At most 200. If `acknowledged` is less than `nodes`, some nodes did not answer within a second.",
    params: userParams,
    answer: userConnectionsAnswer,
  } as const;

  return route(definition, async ({ params }) => {
    const { connections, nodes, acknowledged } = await connectionsOfUser(params.userId);
    return { body: { connections: connections.map(toConnection), nodes, acknowledged } };
  });
}

/** As it is answered. */
export function toConnection(connection: UserConnection) {
  const { connectionId, nodeId, sessionId, address, userAgent = "", connectedAt, queuedBytes, channels } = connection;
  return {
    connectionId,
    nodeId,
    sessionId,
    address,
    userAgent,
    connectedAt,
    channels: channels.map(({ channel }) => channel),
    queuedBytes,
  };
}

function userChannelRoutes({ liveRights, checkChannel }: RightsRouteDeps): Route[] {
  const common = {
    method: "post",
    tag: "Sessions",
    params: userParams,
    body: userChannelBody,
    answer: userChannelAnswer,
  } as const;
  const subscribe = {
    ...common,
    path: "/v1/users/{userId}/subscribe",
    operationId: "subscribeUser",
    refusals: ["subscription_limit", "unknown_channel"],
    summary: "Subscribe a user's connections to a channel, and grant it to the user's sessions.",
  } as const;
  const unsubscribe = {
    ...common,
    path: "/v1/users/{userId}/unsubscribe",
    operationId: "unsubscribeUser",
    summary: "End a user's subscriptions of a channel, and take back the grant made by subscribing.",
    description: "A connection that is away and was subscribed is not recovered when it returns.",
  } as const;

  return [
    route(subscribe, async ({ params, body }) => {
      checkChannel(body.channel);
      return { body: await liveRights.subscribe(params.userId, body.channel) };
    }),
    route(unsubscribe, async ({ params, body }) => ({
      body: await liveRights.unsubscribe(params.userId, body.channel),
    })),
  ];
}

function blockRoutes({ liveRights, clock }: RightsRouteDeps): Route[] {
  const common = { path: "/v1/users/{userId}/block", tag: "Sessions", params: userParams, answer: disconnectionAnswer };
  const block = {
    ...common,
    method: "put",
    operationId: "blockUser",
    summary: "Block a user: close the user's connections and refuse new ones with `user_blocked`.",
    body: blockUserBody,
  } as const;
  const unblock = { ...common, method: "delete", operationId: "unblockUser", summary: "End a user's block." } as const;

  return [
    route(block, async ({ params, body: { idempotencyKey: _key, ...given } = {} }) => {
      if (given.until !== undefined && given.until <= clock.now()) throw wrong("until", notInFuture);
      return { body: await liveRights.block(params.userId, given) };
    }),
    route(unblock, async ({ params }) => ({ body: await liveRights.unblock(params.userId) })),
  ];
}
