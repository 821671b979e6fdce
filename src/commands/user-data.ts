import { removedUserData, type RemovedUserData, type UserData, type UserErased } from "../protocol/users.ts";

/** One kind of data that is kept of users. */
export interface UserDataSource {
  /** Omit for data that expires within minutes, and tells nothing of the user. */
  read?(userId: string): Promise<Partial<UserData>>;
  /** Removes it on all nodes, and returns how much there was. A repeat completes what a failure interrupted. */
  erase(userId: string): Promise<Partial<RemovedUserData>>;
}

/** Everything kept of a user. */
export interface UserDataService {
  read(userId: string): Promise<UserData>;
  /** Rejects if a part failed; then a repeat removes the rest. */
  erase(userId: string): Promise<UserErased>;
}

export interface UserDataDeps {
  /** Ends all sessions, and closes all connections, on all nodes. */
  endSessions(userId: string): Promise<{ revoked: number; disconnected: number; nodes: number; acknowledged: number }>;
  /** Erased in this order. */
  sources: readonly UserDataSource[];
}

const nothing: RemovedUserData = Object.fromEntries(
  Object.keys(removedUserData.shape).map((name) => [name, 0]),
) as RemovedUserData;

export function createUserData({ endSessions, sources }: UserDataDeps): UserDataService {
  return {
    async read(userId) {
      const parts = await Promise.all(sources.map(async (source) => source.read?.(userId)));
      return Object.assign({ userId }, ...parts) as UserData;
    },

    async erase(userId) {
      // First of all, so that the user writes nothing any more.
      const { revoked, disconnected, nodes, acknowledged } = await endSessions(userId);
      const removed = { ...nothing, sessions: revoked, presence: disconnected };
      for (const source of sources) Object.assign(removed, await source.erase(userId));
      return { removed, nodes, acknowledged };
    },
  };
}
