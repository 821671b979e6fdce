import { writeCountScript } from "../cluster/node-counts.ts";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import { createDueSet } from "../redis/queues/due-set.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import {
  enqueueScript,
  queueKeys,
  limitsOf,
  toResults,
  type DeliveryQueueOptions,
  type WebhookMessage,
  type EnqueueResult,
} from "./delivery-queue-store.ts";

/**
 * Which nodes occupy an entity (a channel with subscribers there, a session with connections there).
 *
 * Atomicity: one script stores what a node reports, detects whether the entity got its first node or lost its last, and
 * enqueues the message about that. So across all nodes, messages alternate and are in order, and none is wrong or missing,
 * even if nodes die. Reports are absolute, so repeats change nothing. Live nodes remove those that left or died, after a
 * delay (`nodeLeft`).
 */
export interface OccupancyStore {
  /** Stores whether the node occupies the entity. */
  setOccupied(
    node: string,
    occupied: OccupiedEntity,
    isHere: boolean,
    change: OccupancyChange,
  ): Promise<EnqueueResult[]>;
  /** Some of the entities that a node occupies. */
  occupiedAt(node: string, most: number): Promise<OccupiedEntity[]>;
  /** The node has left: it can be claimed for removal after `delayMs`. */
  nodeLeft(node: string, delayMs: number): Promise<void>;
  /** Claims at most `most` nodes that are due for removal. */
  claimDeparted(most: number): Promise<string[]>;
  /** Call after all entities of the node were removed. */
  removeNode(node: string): Promise<void>;
}

export interface OccupiedEntity {
  entity: string;
  /** JSON payload of the webhook. */
  data: string;
}

/** The message to enqueue if the occupancy changes, and for which endpoints. */
export interface OccupancyChange {
  message: WebhookMessage;
  endpoints: readonly string[];
}

/** Duration of a claim, in milliseconds. */
const claimMs = 10_000;

export function createOccupancyStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  options: DeliveryQueueOptions = {},
): OccupancyStore {
  const occupyScript = loadScript(commands, new URL("./occupy.lua", import.meta.url), [
    writeCountScript,
    enqueueScript,
  ]);
  const departures = createDueSet(commands, { key: keys.webhookDepartedNodes(), leaseMs: claimMs });

  return {
    async setOccupied(node, { entity, data }, isHere, { message: { id, type, body }, endpoints }) {
      const occupancyKeys = [keys.webhookOccupancy(entity), keys.webhookOccupancyOf(node), keys.deadWebhooks()];
      const reply = await occupyScript.run(
        [...occupancyKeys, ...queueKeys(keys, endpoints, entity)],
        [node, isHere ? data : "", entity, id, type, body, ...limitsOf(options), ...endpoints],
      );
      return toResults(reply, endpoints);
    },

    async occupiedAt(node, most) {
      const flat = (await commands.hrandfield(keys.webhookOccupancyOf(node), most, "WITHVALUES")) as string[];
      return pairsOf(flat).map(([entity, data]) => ({ entity, data }));
    },

    // The first report counts.
    nodeLeft: (node, delayMs) => departures.plan([node], delayMs, "new"),
    claimDeparted: async (most) => (await departures.claim(most)).due,
    removeNode: (node) => departures.drop([node]),
  };
}
