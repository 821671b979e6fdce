import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript, type ScriptReply } from "../redis/scripts.ts";

/** A node's connections of a session, and how many it requests. */
export interface QuotaRequest {
  node: string;
  sessionId: string;
  held: number;
  /** At least `held`. */
  requested: number;
  /** Max connections of the session's user on all nodes. */
  max: number;
  /** The node's name before its lease ended, if the connections may still be stored under it. */
  formerNode: string | undefined;
}

export interface QuotaGrant {
  /** At least `held`. */
  granted: number;
  /** If less than requested was granted: the other nodes that hold connections of the user. */
  holders: string[];
}

/** Connections of one session on one node. */
export interface HeldConnections {
  node: string;
  sessionId: string;
  count: number;
}

/**
 * Connections of each user, by node and session, in Redis.
 *
 * Atomicity: one script counts and takes, so all nodes together never exceed `max`. A node may always keep what it holds,
 * whatever the limit. Counts are absolute, so repeated requests are harmless. Connections of a dead node count until they are
 * removed, for at most two days.
 */
export interface ConnectionQuotaStore {
  /** Takes, keeps or releases connections. */
  take(userTag: string, request: QuotaRequest): Promise<QuotaGrant>;
  held(userTag: string): Promise<HeldConnections[]>;
  /** Removes what dead nodes held. */
  removeNodes(userTag: string, nodes: readonly string[]): Promise<void>;
}

/** TTL of a user's connections unless they are renewed, in seconds. */
export const quotaTtlSeconds = 2 * 86_400;

export function createConnectionQuotaStore({
  commands,
  keys,
}: {
  commands: RedisClient;
  keys: Keys;
}): ConnectionQuotaStore {
  const takeScript = loadBatchedScript(commands, new URL("./take-connections.lua", import.meta.url));
  const held = async (userTag: string): Promise<HeldConnections[]> =>
    Object.entries(await commands.hgetall(keys.userConnections(userTag))).map(toHeldConnections);

  return {
    take(userTag, { node, sessionId, held: holding, requested, max, formerNode }) {
      const request = [node, sessionId, holding, requested, max, quotaTtlSeconds, formerNode ?? ""];
      return takeScript.run([keys.userConnections(userTag)], request).then(toGrant);
    },

    held,

    async removeNodes(userTag, nodes) {
      const dead = nodes.length === 0 ? [] : (await held(userTag)).filter(({ node }) => nodes.includes(node));
      const fields = dead.map(({ node, sessionId }) => `${node}|${sessionId}`);
      if (fields.length > 0) await commands.hdel(keys.userConnections(userTag), ...fields);
    },
  };
}

function toGrant(reply: ScriptReply): QuotaGrant {
  if (typeof reply === "number") return { granted: reply, holders: [] };
  const [granted, ...holders] = reply as [number, ...string[]];
  return { granted, holders };
}

/** Session ids contain no bar; names of nodes may. */
function toHeldConnections([field, count]: [string, string]): HeldConnections {
  const bar = field.lastIndexOf("|");
  return { node: field.slice(0, bar), sessionId: field.slice(bar + 1), count: Number(count) };
}
