import type { ConnectionsOf } from "../auth/revocations.ts";
import type { ClientHandler } from "../connections/client-handler.ts";
import { createAuthHandlers } from "../connections/handlers/auth.ts";
import { createChannelHandlers } from "../connections/handlers/channels.ts";
import { createLeaderboardHandlers } from "../connections/handlers/leaderboards.ts";
import { createOrderHandlers } from "../connections/handlers/orders.ts";
import { createPresenceHandlers } from "../connections/handlers/presence.ts";
import { createStateHandlers } from "../connections/handlers/state.ts";
import { createSessionHandlers } from "../connections/handlers/sessions.ts";
import type { Route } from "../http/route.ts";
import { createClientRequestRoutes } from "../http/routes/client-requests.ts";
import { createChannelRoutes } from "../http/routes/channels.ts";
import { idempotent } from "../http/routes/idempotent.ts";
import { createLeaderboardRoutes } from "../http/routes/leaderboards.ts";
import { createLimitRoutes } from "../http/routes/limits.ts";
import { createOrderRoutes } from "../http/routes/orders.ts";
import { createPresenceRoutes } from "../http/routes/presence.ts";
import { createPublishRoutes } from "../http/routes/publish.ts";
import { createScheduledRoutes } from "../http/routes/scheduled.ts";
import { createSessionRoutes } from "../http/routes/sessions.ts";
import { createRightsRoutes } from "../http/routes/rights.ts";
import { createStateRoutes } from "../http/routes/state.ts";
import { createUserRoutes } from "../http/routes/users.ts";
import { createTokenRoutes } from "../http/routes/tokens.ts";
import type { ConnectionHooks } from "../connections/connection-hooks.ts";
import type { Presence } from "../presence/presence.ts";
import type { NodeContext } from "./node-context.ts";
import { createSessionLimit } from "./http-limit.ts";
import type { NetworkParts } from "./network-parts.ts";

/** The backend API. */
export function routesOf(
  { clock }: Pick<NodeContext, "clock">,
  { authentication, revocations, services, ingress, throttling, operator, userData }: NetworkParts,
): Route[] {
  const { sessions, tokens, tickets, logouts, liveRights } = authentication;
  const { kinds, channels, presence, state, orders, boards } = services;
  const { executor, schedule } = ingress;
  const routes = [
    ...createPublishRoutes({ executor, schedule }),
    ...createScheduledRoutes({ schedule }),
    ...createChannelRoutes({
      history: channels.history.bind(channels),
      list: presence.list,
      // Subscribers subscribe again after that, and are sent a state without what was removed.
      clearHistory: (channel) => state.clear(channel).then(() => channels.clearHistory(channel)),
    }),
    ...createStateRoutes({ state }),
    ...createPresenceRoutes({ presence }),
    ...createOrderRoutes({ executor, orders }),
    ...createLeaderboardRoutes({ executor, leaderboards: boards }),
    ...createSessionRoutes({
      sessions,
      tokens,
      tickets,
      logouts,
      connectionsOf: connectionCounts(presence),
      limitSession: createSessionLimit(throttling),
    }),
    ...createRightsRoutes({
      sessions,
      liveRights,
      connectionsOf: connectionCounts(presence),
      connectionsOfUser: operator.connectionsOfUser,
      checkChannel: (channel) => void kinds.of(channel),
      clock,
    }),
    ...createUserRoutes(userData),
    ...createClientRequestRoutes({ executor }),
    ...createTokenRoutes({ logouts, revocations }),
    ...createLimitRoutes({ takeLimit: throttling.custom.bind(throttling) }),
  ];
  return routes.map((route) => idempotent(route, executor));
}

/** The built-in client events. */
export function handlersOf(
  { metrics }: NodeContext,
  { authentication, services, ingress }: NetworkParts,
  { refresh, tokenRefreshed, useSubscriptionToken }: ConnectionHooks,
): ClientHandler[] {
  const { sessions, logouts } = authentication;
  const { channels, permissions, presence, state, orders, boards } = services;
  return [
    ...createChannelHandlers({
      channels,
      useToken: useSubscriptionToken,
      recheck: (connection) => void channels.recheckPermissions(connection.subscriber, () => connection.identity),
      encode: (publication) => ingress.executor.encode(publication),
      onPublished: () => metrics.publications.inc({ door: "client" }),
    }),
    ...createAuthHandlers({ refresh, tokenRefreshed }),
    ...createSessionHandlers({ sessions, logouts, connectionsOf: connectionCounts(presence) }),
    ...createLeaderboardHandlers({ leaderboards: boards }),
    ...createOrderHandlers({ orders, permissions }),
    ...createPresenceHandlers({ presence, channels }),
    ...createStateHandlers({ state }),
  ];
}

const connectionCounts = ({ connectionQuota }: Presence): ConnectionsOf =>
  connectionQuota.connectionsOf.bind(connectionQuota);
