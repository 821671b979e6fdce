import { userTagOf } from "../auth/session-id.ts";
import { createUserData, type UserDataService, type UserDataSource } from "../commands/user-data.ts";
import type { CommandIngress } from "../commands/command-ingress.ts";
import { toConnection, type ConnectionsOfUser } from "../http/routes/rights.ts";
import { toEntry } from "../http/routes/sessions.ts";
import { userChannelOf } from "../protocol/names.ts";
import { maxUserData } from "../protocol/users.ts";
import type { Throttling } from "../throttling/throttling.ts";
import type { Authentication } from "./authentication.ts";
import type { CoreServices } from "./core-services.ts";

export interface NodeUserDataDeps {
  authentication: Pick<Authentication, "sessions" | "logouts">;
  services: CoreServices;
  ingress: Pick<CommandIngress, "schedule">;
  throttling: Throttling;
  connectionsOfUser: ConnectionsOfUser;
}

/** Everything kept of a user. Data of another kind gets a source here, and a name in `protocol/users.ts`. */
export function createNodeUserData(deps: NodeUserDataDeps): UserDataService {
  const sources = [
    sessionSource(deps),
    recoverySource(deps),
    limitSource(deps),
    scoreSource(deps),
    orderSource(deps),
    stateSource(deps),
    scheduleSource(deps),
    // Last: orders that are removed are published to one of these channels.
    channelSource(deps),
  ];
  return createUserData({ endSessions: (userId) => deps.authentication.logouts.allSessions(userId), sources });
}

/** The sessions themselves have ended when this is erased. */
function sessionSource({ authentication, services, connectionsOfUser }: NodeUserDataDeps): UserDataSource {
  const { sessions } = authentication;
  const { connectionQuota } = services.presence;
  return {
    async read(userId) {
      const [listed, block, { connections }] = await Promise.all([
        sessions.list(userId),
        sessions.blockOf(userId),
        connectionsOfUser(userId),
      ]);
      const counts = await connectionQuota.connectionsOf(listed.map(({ sessionId }) => sessionId));
      return {
        sessions: listed.map((session) => toEntry(session, counts)),
        connections: connections.map(toConnection),
        ...(block !== undefined && { block }),
      };
    },
    async erase(userId) {
      await connectionQuota.removeDead(userTagOf(userId));
      return { blocks: (await sessions.unblock(userId)) ? 1 : 0 };
    },
  };
}

function recoverySource({ services }: NodeUserDataDeps): UserDataSource {
  return { erase: async (userId) => ({ recoveryRecords: (await services.recovery.erase(userId)).count }) };
}

function limitSource({ throttling }: NodeUserDataDeps): UserDataSource {
  return { erase: async (userId) => ({ limits: await throttling.counts.clear({ userId }) }) };
}

function scoreSource({ services: { leaderboards } }: NodeUserDataDeps): UserDataSource {
  return {
    read: async (userId) => ({ scores: await leaderboards.scoresOf(userId, maxUserData) }),
    erase: async (userId) => ({ scores: await leaderboards.removeMember(userId) }),
  };
}

function orderSource({ services: { orders } }: NodeUserDataDeps): UserDataSource {
  return {
    read: async (userId) => ({ orders: await orders.ofUser(userId, maxUserData) }),
    erase: (userId) => orders.eraseUser(userId),
  };
}

function stateSource({ services: { state } }: NodeUserDataDeps): UserDataSource {
  return {
    read: async (userId) => ({ state: await state.ofUser(userId, maxUserData) }),
    async erase(userId) {
      const own = await Promise.all(ownChannelsOf(userId).map((channel) => state.clear(channel)));
      return { state: own.reduce((sum, count) => sum + count, 0) + (await state.removeUser(userId)) };
    },
  };
}

function scheduleSource({ ingress: { schedule } }: NodeUserDataDeps): UserDataSource {
  return {
    read: async (userId) => ({ scheduled: await schedule.ofUser(userId, maxUserData) }),
    erase: async (userId) => ({ scheduled: await schedule.cancelOf(userId) }),
  };
}

/** The user's own channels; those of ranks are erased with the scores. */
function channelSource({ services: { channels } }: NodeUserDataDeps): UserDataSource {
  return {
    async erase(userId) {
      const removed = await Promise.all(ownChannelsOf(userId).map((channel) => channels.clearHistory(channel, true)));
      return { publications: removed.reduce((sum, count) => sum + count, 0) };
    },
  };
}

const ownChannelsOf = (userId: string): string[] => [userChannelOf(userId), `orders:${userId}`];
