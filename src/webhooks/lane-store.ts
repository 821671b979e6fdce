import type { WebhookEvent } from "../protocol/webhooks.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";

/**
 * What waits to be sent, in Redis: for each endpoint and entity (a session, a channel, an order) a lane.
 *
 * Order: a lane is sent from its head, and its head stays until it was delivered or buried; so a receiver meets the
 * messages about one entity in the order in which they came about, and what fails holds up nobody but its own entity.
 * Atomicity: a message is taken in by the script that found out about it; it leaves a lane, and comes into the dead
 * letters, in one step. Edges: beyond `mostInLane` for an entity or `mostOfEndpoint` in all, a message becomes a dead
 * letter at once. The one who was told `first` sees to it that the head is sent; where it dies before that, the lane
 * falls due (`claim`) and another does.
 */
export interface LaneStore {
  /**
   * `entity` is what the message is about: `order:o-17`, `session:…`, `channel:chat:7`. One that came before is not taken
   * in again for a day, unless it is said to be a repeat.
   */
  announce(entity: string, message: Message, endpoints: readonly string[], isRepeat?: boolean): Promise<Taken[]>;
  head(endpoint: string, entity: string): Promise<Message | undefined>;
  /** It was delivered. Resolves to the id of the next. */
  done(endpoint: string, entity: string, id: string): Promise<string | undefined>;
  /** It is given up. Resolves to the id of the next. */
  bury(endpoint: string, entity: string, id: string, death: Death): Promise<string | undefined>;
  /** The id of the head; the lane is not due for a while. */
  next(endpoint: string, entity: string): Promise<string | undefined>;
  /** Entities of lanes in which nothing moved for a while. */
  claim(endpoint: string, most: number): Promise<string[]>;
  waiting(endpoint: string): Promise<number>;
}

/** One delivery to be made. */
export interface Message {
  /** Unlike any other; receivers know repeats by it. */
  id: string;
  type: WebhookEvent;
  /** JSON, as it is sent. */
  body: string;
}

/** What became of a message at one endpoint; see `enqueue.lua`. */
export interface Taken {
  endpoint: string;
  outcome: "first" | "behind" | "full";
}

export interface Death {
  reason: string;
  tries: number;
}

export interface LaneStoreOptions {
  /** Messages that wait about one entity. @default 1000 */
  mostInLane?: number;
  /** Messages that wait for one endpoint. @default 100000 */
  mostOfEndpoint?: number;
  /** Milliseconds without movement after which a lane is looked after. @default 10000 */
  lookMs?: number;
}

const defaults = { mostInLane: 1_000, mostOfEndpoint: 100_000, lookMs: 10_000 };
const lifeSeconds = 31 * 86_400;
const takenSeconds = 86_400;
const mostLetters = 100_000;

/** Scripts of the stores that make messages include it. */
export const enqueueScript = new URL("./enqueue.lua", import.meta.url);

/** What every such script is told of bounds, in the order of `enqueue.lua`. */
export function limitsOf(options: LaneStoreOptions): number[] {
  const { mostInLane, mostOfEndpoint, lookMs } = { ...defaults, ...options };
  return [mostInLane, mostOfEndpoint, lifeSeconds, lookMs, mostLetters];
}

/** The keys that `enqueue.lua` needs of each endpoint. */
export function laneKeys(keys: Keys, endpoints: readonly string[], entity: string): string[] {
  return endpoints.flatMap((endpoint) => [
    keys.webhookLane(endpoint, entity),
    keys.webhookLanes(endpoint),
    keys.webhookWaiting(endpoint),
  ]);
}

/** The answer of such a script. */
export function toTaken(reply: ScriptReply, endpoints: readonly string[]): Taken[] {
  const outcomes = reply as Taken["outcome"][];
  return outcomes.map((outcome, index) => ({ endpoint: endpoints[index] as string, outcome }));
}

export function createLaneStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  options: LaneStoreOptions = {},
): LaneStore {
  const announceScript = loadScript(commands, new URL("./announce.lua", import.meta.url), [enqueueScript]);
  const settleScript = loadScript(commands, new URL("./settle.lua", import.meta.url));
  const claimScript = loadScript(commands, new URL("./claim-due.lua", import.meta.url));
  const { lookMs } = { ...defaults, ...options };

  async function settle(endpoint: string, entity: string, id: string, letter: object = {}) {
    const reply = await settleScript.run(
      [...laneKeys(keys, [endpoint], entity), keys.deadWebhooks()],
      [id, entity, lifeSeconds, lookMs, mostLetters, ...Object.entries(letter).flat().map(String)],
    );
    return (reply as string | null) ?? undefined;
  }

  return {
    async announce(entity, { id, type, body }, endpoints, isRepeat = false) {
      const reply = await announceScript.run(
        [keys.webhookTaken(id), keys.deadWebhooks(), ...laneKeys(keys, endpoints, entity)],
        [isRepeat ? 0 : takenSeconds, entity, id, type, body, ...limitsOf(options), ...endpoints],
      );
      return toTaken(reply, endpoints);
    },

    async head(endpoint, entity) {
      const text = await commands.lindex(keys.webhookLane(endpoint, entity), 0);
      return text === null ? undefined : parseMessage(text);
    },

    done: (endpoint, entity, id) => settle(endpoint, entity, id),
    bury: (endpoint, entity, id, { reason, tries }) =>
      settle(endpoint, entity, id, { endpoint, entity, reason, tries }),
    next: (endpoint, entity) => settle(endpoint, entity, ""),
    claim: async (endpoint, most) => (await claimScript.run([keys.webhookLanes(endpoint)], [most, lookMs])) as string[],
    waiting: async (endpoint) => Number((await commands.get(keys.webhookWaiting(endpoint))) ?? 0),
  };
}

/** `<id> <type> <body>` */
export function parseMessage(text: string): Message {
  const [id = "", type = ""] = text.split(" ", 2);
  return { id, type: type as WebhookEvent, body: text.slice(id.length + type.length + 2) };
}
