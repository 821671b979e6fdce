import type { WebhookEvent } from "../protocol/webhooks.ts";
import type { RedisClient } from "../redis/connections.ts";
import { createDueSet } from "../redis/due-set.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";

/**
 * What waits to be sent, in Redis: for each endpoint and entity (a session, a channel, an order) a lane.
 *
 * Order: a lane is sent from its head, and its head stays until it was delivered or buried; so a receiver meets the
 * messages about one entity in the order in which they came about, and what fails holds up nobody but its own entity.
 * Atomicity: a message is taken in by the script that found out about it; it leaves a lane, and comes into the dead
 * letters, in one step. Edges: beyond `mostInLane` for an entity or `mostOfEndpoint` in all, a message becomes a dead
 * letter at once. The node that was told `first` has the lane for `leaseMs`, as has the one that claims it; where it dies
 * the lane is due again, and another delivers it.
 */
export interface LaneStore {
  /**
   * `entity` is what the message is about: `order:o-17`, `session:…`, `channel:chat:7`. One that came before is not taken
   * in again for a day, unless it is said to be a repeat.
   */
  announce(entity: string, message: Message, endpoints: readonly string[], isRepeat?: boolean): Promise<Taken[]>;
  head(endpoint: string, entity: string): Promise<Head | undefined>;
  /** It was delivered. Resolves to whether there is a next one, for which the claim is renewed. */
  done(endpoint: string, entity: string, id: string): Promise<boolean>;
  /** It is given up. Resolves to the same. */
  bury(endpoint: string, entity: string, id: string, death: Death): Promise<boolean>;
  /** Forgets a lane in which nothing waits. Resolves to the same. */
  next(endpoint: string, entity: string): Promise<boolean>;
  /** It was tried in vain; the lane is due again after `pauseMs`. */
  retry(endpoint: string, entity: string, failed: FailedTry): Promise<void>;
  /** The lanes are due after `delayMs`, those of them in which something still waits. */
  due(endpoint: string, entities: readonly string[], delayMs: number): Promise<void>;
  /** Entities whose lanes are due, and milliseconds until the next is. */
  claim(endpoint: string, most: number): Promise<{ due: string[]; nextInMs: number | undefined }>;
  /** Milliseconds for which a lane belongs to who claimed it, unless renewed by `due`. */
  readonly leaseMs: number;
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

/** The next message of a lane, and how often it was tried. */
export interface Head {
  message: Message;
  tries: number;
}

export interface FailedTry {
  id: string;
  tries: number;
  pauseMs: number;
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
  /** Milliseconds for which a lane belongs to the node that delivers it and is not heard of. @default 5000 */
  leaseMs?: number;
}

const defaults = { mostInLane: 1_000, mostOfEndpoint: 100_000, leaseMs: 5_000 };
const lifeSeconds = 31 * 86_400;
const takenSeconds = 86_400;
const mostLetters = 100_000;

/** Scripts of the stores that make messages include it. */
export const enqueueScript = new URL("./enqueue.lua", import.meta.url);

/** What every such script is told of bounds, in the order of `enqueue.lua`. */
export function limitsOf(options: LaneStoreOptions): number[] {
  const { mostInLane, mostOfEndpoint, leaseMs } = { ...defaults, ...options };
  return [mostInLane, mostOfEndpoint, lifeSeconds, leaseMs, mostLetters];
}

/** The keys that `enqueue.lua` needs of each endpoint. */
export function laneKeys(keys: Keys, endpoints: readonly string[], entity: string): string[] {
  return endpoints.flatMap((endpoint) => [
    keys.webhookQueue(endpoint, entity),
    keys.webhookQueues(endpoint),
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
  const retryScript = loadScript(commands, new URL("./retry.lua", import.meta.url));
  const { leaseMs } = { ...defaults, ...options };
  const lanesOf = (endpoint: string) => createDueSet(commands, { key: keys.webhookQueues(endpoint), leaseMs });
  const dueSets = new Map<string, ReturnType<typeof lanesOf>>();

  function dueSetOf(endpoint: string) {
    const dueSet = dueSets.get(endpoint) ?? lanesOf(endpoint);
    dueSets.set(endpoint, dueSet);
    return dueSet;
  }

  async function settle(endpoint: string, entity: string, id: string, letter: object = {}) {
    const reply = await settleScript.run(
      [...laneKeys(keys, [endpoint], entity), keys.webhookAttempts(endpoint), keys.deadWebhooks()],
      [id, entity, lifeSeconds, leaseMs, mostLetters, ...Object.entries(letter).flat().map(String)],
    );
    return reply === 1;
  }

  return {
    async announce(entity, { id, type, body }, endpoints, isRepeat = false) {
      const reply = await announceScript.run(
        [keys.webhookAccepted(id), keys.deadWebhooks(), ...laneKeys(keys, endpoints, entity)],
        [isRepeat ? 0 : takenSeconds, entity, id, type, body, ...limitsOf(options), ...endpoints],
      );
      return toTaken(reply, endpoints);
    },

    async head(endpoint, entity) {
      const [text, tries] = await Promise.all([
        commands.lindex(keys.webhookQueue(endpoint, entity), 0),
        commands.hget(keys.webhookAttempts(endpoint), entity),
      ]);
      return text === null ? undefined : { message: parseMessage(text), tries: Number(tries ?? 0) };
    },

    done: (endpoint, entity, id) => settle(endpoint, entity, id),
    bury: (endpoint, entity, id, { reason, tries }) =>
      settle(endpoint, entity, id, { endpoint, entity, reason, tries }),
    next: (endpoint, entity) => settle(endpoint, entity, ""),
    async retry(endpoint, entity, { id, tries, pauseMs }) {
      const laneAndLanes = [keys.webhookQueue(endpoint, entity), keys.webhookQueues(endpoint)];
      await retryScript.run(
        [...laneAndLanes, keys.webhookAttempts(endpoint)],
        [id, entity, tries, Math.ceil(pauseMs), lifeSeconds],
      );
    },
    due: (endpoint, entities, delayMs) => dueSetOf(endpoint).plan(entities, delayMs, "known"),
    claim: (endpoint, most) => dueSetOf(endpoint).claim(most),
    leaseMs,
    waiting: async (endpoint) => Number((await commands.get(keys.webhookWaiting(endpoint))) ?? 0),
  };
}

/** `<id> <type> <body>` */
export function parseMessage(text: string): Message {
  const [id = "", type = ""] = text.split(" ", 2);
  return { id, type: type as WebhookEvent, body: text.slice(id.length + type.length + 2) };
}
