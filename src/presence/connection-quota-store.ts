import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript } from "../redis/scripts.ts";

/** What a node has, and would like to have, of a session's connections. */
export interface QuotaRequest {
  node: string;
  sessionId: string;
  held: number;
  /** Not less than `held`. */
  requested: number;
  /** Most that the session's user may have on all nodes. */
  max: number;
  /** The node's name before its lease ended, where these seats may stand under it. */
  formerNode: string | undefined;
  /** Nodes that are dead for certain: what they held is free. */
  dead: readonly string[];
}

export interface QuotaGrant {
  /** Never less than `held`. */
  granted: number;
  /** Where less was granted than wanted: the other nodes that hold some of the user's. */
  holders: string[];
}

/** Seats of one session on one node. */
export interface HeldConnections {
  node: string;
  sessionId: string;
  count: number;
}

/**
 * How many connections each user has, by node and session, in Redis.
 *
 * Atomicity: one script counts all and takes, so takers on all nodes together never exceed `most`. What a node holds it
 * may always keep, whatever the limit. Counts are absolute: what is repeated, or sent again because no answer came, does
 * no harm. What a dead node held counts until somebody says so, or for two days.
 */
export interface ConnectionQuotaStore {
  /** Takes, keeps, and gives back. */
  take(userTag: string, wish: QuotaRequest): Promise<QuotaGrant>;
  held(userTag: string): Promise<HeldConnections[]>;
}

/** Seconds that seats are kept without being said again. */
export const quotaTtlSeconds = 2 * 86_400;

export function createConnectionQuotaStore({
  commands,
  keys,
}: {
  commands: RedisClient;
  keys: Keys;
}): ConnectionQuotaStore {
  const takeScript = loadBatchedScript(commands, new URL("./take-connections.lua", import.meta.url));

  return {
    async take(userTag, { node, sessionId, held, requested: wanted, max: most, formerNode, dead }) {
      const wish = [node, sessionId, held, wanted, most, quotaTtlSeconds, formerNode ?? "", ...dead];
      const reply = await takeScript.run([keys.userConnections(userTag)], wish);
      const [granted, ...holders] = reply as [number, ...string[]];
      return { granted, holders };
    },

    async held(userTag) {
      return Object.entries(await commands.hgetall(keys.userConnections(userTag))).map(toHeldSeats);
    },
  };
}

/** The id of a session has no bar in it; what a node is named may have. */
function toHeldSeats([field, count]: [string, string]): HeldConnections {
  const bar = field.lastIndexOf("|");
  return { node: field.slice(0, bar), sessionId: field.slice(bar + 1), count: Number(count) };
}
