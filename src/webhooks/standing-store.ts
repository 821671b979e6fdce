import type { RedisClient } from "../redis/connections.ts";
import { createDueSet } from "../redis/due-set.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import {
  enqueueScript,
  laneKeys,
  limitsOf,
  toTaken,
  type LaneStoreOptions,
  type Message,
  type Taken,
} from "./lane-store.ts";

/**
 * Which nodes an entity stands at (a channel with subscribers there, a session with connections there).
 *
 * Atomicity: one script notes what a node says, sees whether the entity is now held by its first node or was let go by
 * its last, and takes in the message that says so. So over all nodes turns come in pairs and in their order, none is
 * told that did not happen and none that happened is forgotten, whenever a node dies. What a node says is absolute: a
 * repeat changes nothing. Nodes that left or died are taken out by those who live, a moment later (`depart`).
 */
export interface StandingStore {
  /** The entity stands at the node, or no longer does. */
  stand(node: string, standing: Standing, isHere: boolean, turn: Turn): Promise<Taken[]>;
  /** Some of what stands at a node. */
  standingAt(node: string, most: number): Promise<Standing[]>;
  /** The node is gone: it is `departed` after `delayMs`. */
  depart(node: string, delayMs: number): Promise<void>;
  /** Nodes to be taken out now, at most `most`; others are not told of them for a while. */
  departed(most: number): Promise<string[]>;
  /** All that stood there was taken out. */
  bury(node: string): Promise<void>;
}

export interface Standing {
  entity: string;
  /** JSON, of what is told. */
  data: string;
}

/** What is told if the entity turns, and to whom. */
export interface Turn {
  message: Message;
  endpoints: readonly string[];
}

/** Milliseconds a departed node is left to the one who took it. */
const claimMs = 10_000;

export function createStandingStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  options: LaneStoreOptions = {},
): StandingStore {
  const standScript = loadScript(commands, new URL("./stand.lua", import.meta.url), [enqueueScript]);
  const departures = createDueSet(commands, { key: keys.webhookDepartedNodes(), leaseMs: claimMs });

  return {
    async stand(node, { entity, data }, isHere, { message: { id, type, body }, endpoints }) {
      const standingKeys = [keys.webhookOccupancy(entity), keys.webhookOccupancyOf(node), keys.deadWebhooks()];
      const reply = await standScript.run(
        [...standingKeys, ...laneKeys(keys, endpoints, entity)],
        [node, isHere ? data : "", entity, id, type, body, ...limitsOf(options), ...endpoints],
      );
      return toTaken(reply, endpoints);
    },

    async standingAt(node, most) {
      const flat = (await commands.hrandfield(keys.webhookOccupancyOf(node), most, "WITHVALUES")) as string[];
      const standings: Standing[] = [];
      for (let i = 0; i + 1 < flat.length; i += 2)
        standings.push({ entity: flat[i] as string, data: flat[i + 1] as string });
      return standings;
    },

    // The first to say so counts.
    depart: (node, delayMs) => departures.plan([node], delayMs, "new"),
    departed: async (most) => (await departures.claim(most)).due,
    bury: (node) => departures.drop([node]),
  };
}
