import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";

/** How long a node that died, or left, is shown. */
export const goneForMs = 15 * 60_000;
const maxNodes = 256;

/** Nodes that died within the last 15 minutes, by when that was noticed: what every node can tell, also one that did not watch. */
export interface DeadNodeLog {
  add(nodeId: string, at: number): Promise<void>;
  list(now: number): Promise<Map<string, number>>;
}

export function createDeadNodeLog({ commands, keys }: { commands: RedisClient; keys: Keys }): DeadNodeLog {
  const key = keys.operatorDeadNodes();
  return {
    async add(nodeId, at) {
      await commands.zadd(key, at, nodeId);
      await commands.zremrangebyrank(key, 0, -maxNodes - 1);
      await commands.pexpire(key, goneForMs);
    },
    async list(now) {
      const flat = await commands.zrangebyscore(key, now - goneForMs, "+inf", "WITHSCORES");
      return new Map(pairsOf(flat).map(([nodeId, at]) => [nodeId, Number(at)]));
    },
  };
}
