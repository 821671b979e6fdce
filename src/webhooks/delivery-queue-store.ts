import type { WebhookEvent } from "../protocol/webhooks.ts";
import type { RedisClient } from "../redis/connections.ts";
import { maxDeadLetters } from "../redis/queues/dead-letters.ts";
import { createDueSet } from "../redis/queues/due-set.ts";
import type { Keys } from "../redis/keys.ts";
import { pairsOf } from "../redis/pairs.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";

/**
 * Webhook messages in Redis: one FIFO queue per endpoint and entity (a session, a channel, an order).
 *
 * Order: the head of a queue stays until it is delivered or dead-lettered; so a receiver gets the messages about one
 * entity in order, and a failing message delays only its own entity. Atomicity: a message is enqueued by the script that
 * detects its cause; leaving the queue and becoming a dead letter is one step. Bounds: beyond `maxPerEntity` per entity
 * or `maxPerEndpoint` in total, a message becomes a dead letter at once. The node that got `first`, like a node that
 * claims a queue, owns it for `leaseMs`; if that node dies, the queue becomes due and another node delivers.
 */
export interface DeliveryQueueStore {
  /**
   * `entity` is what the message is about: `order:o-17`, `session:…`, `channel:chat:7`. What is named `once` is accepted
   * once per day; by default, that is the message.
   */
  enqueue(
    entity: string,
    message: WebhookMessage,
    endpoints: readonly string[],
    once?: string,
  ): Promise<EnqueueResult[]>;
  head(endpoint: string, entity: string): Promise<QueuedMessage | undefined>;
  /** Removes a delivered message. Resolves to whether there is a next one, for which the claim is renewed. */
  ack(endpoint: string, entity: string, id: string): Promise<boolean>;
  /** Moves a message to the dead letters. Resolves to the same. */
  deadLetter(endpoint: string, entity: string, id: string, givenUp: GivenUp): Promise<boolean>;
  /** Removes an empty queue from the due set. Resolves to the same. */
  dropIfEmpty(endpoint: string, entity: string): Promise<boolean>;
  /** Schedules the next attempt after `pauseMs`. */
  retry(endpoint: string, entity: string, failed: FailedAttempt): Promise<void>;
  /** Makes those queues that are not empty due after `delayMs`: renews or releases claims. */
  setDue(endpoint: string, entities: readonly string[], delayMs: number): Promise<void>;
  /** Entities whose queues are due, and milliseconds until the next one is. */
  claim(endpoint: string, most: number): Promise<{ due: string[]; nextInMs: number | undefined }>;
  /** Duration of a claim in milliseconds, unless renewed by `setDue`. */
  readonly leaseMs: number;
  waiting(endpoint: string): Promise<number>;
  /** How many queues there are, and of which the heads are attempted next. */
  queues(endpoint: string, max: number): Promise<{ count: number; next: WaitingQueue[] }>;
}

export interface WaitingQueue {
  entity: string;
  /** Failed attempts of its head. */
  tries: number;
  /** Epoch milliseconds. */
  nextAt: number;
}

/** One webhook message. */
export interface WebhookMessage {
  /** Unique; receivers detect repeats by it. */
  id: string;
  type: WebhookEvent;
  /** JSON, exactly as sent. */
  body: string;
  /** W3C trace context of what caused it, if its trace is collected. */
  traceparent?: string | undefined;
}

/** The head of a queue, and the number of attempts so far. */
export interface QueuedMessage {
  message: WebhookMessage;
  tries: number;
}

export interface FailedAttempt {
  id: string;
  tries: number;
  pauseMs: number;
}

/** The result of enqueueing for one endpoint; see `enqueue.lua`. */
export interface EnqueueResult {
  endpoint: string;
  outcome: "first" | "behind" | "full";
}

export interface GivenUp {
  reason: string;
  tries: number;
}

export interface DeliveryQueueOptions {
  /** Max queued messages per entity. @default 1000 */
  maxPerEntity?: number;
  /** Max queued messages per endpoint. @default 100000 */
  maxPerEndpoint?: number;
  /** Duration of a claim in milliseconds, which the delivering node renews. @default 5000 */
  leaseMs?: number;
}

const defaults = { maxPerEntity: 1_000, maxPerEndpoint: 100_000, leaseMs: 5_000 };
const ttlSeconds = 31 * 86_400;
const acceptedSeconds = 86_400;

/** Included by each script that enqueues messages. */
export const enqueueScript = new URL("./enqueue.lua", import.meta.url);

/** The bounds passed to each such script, in the order of `enqueue.lua`. */
export function limitsOf(options: DeliveryQueueOptions): number[] {
  const { maxPerEntity, maxPerEndpoint, leaseMs } = { ...defaults, ...options };
  return [maxPerEntity, maxPerEndpoint, ttlSeconds, leaseMs, maxDeadLetters];
}

/** The keys that `enqueue.lua` needs for each endpoint. */
export function queueKeys(keys: Keys, endpoints: readonly string[], entity: string): string[] {
  return endpoints.flatMap((endpoint) => [
    keys.webhookQueue(endpoint, entity),
    keys.webhookQueues(endpoint),
    keys.webhookWaiting(endpoint),
  ]);
}

/** Parses the reply of such a script. */
export function toResults(reply: ScriptReply, endpoints: readonly string[]): EnqueueResult[] {
  const outcomes = reply as EnqueueResult["outcome"][];
  return outcomes.map((outcome, index) => ({ endpoint: endpoints[index] as string, outcome }));
}

export function createDeliveryQueueStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  options: DeliveryQueueOptions = {},
): DeliveryQueueStore {
  const enqueueOnceScript = loadScript(commands, new URL("./enqueue-once.lua", import.meta.url), [enqueueScript]);
  const ackScript = loadScript(commands, new URL("./ack.lua", import.meta.url));
  const retryScript = loadScript(commands, new URL("./retry.lua", import.meta.url));
  const { leaseMs } = { ...defaults, ...options };
  const dueSetFor = (endpoint: string) => createDueSet(commands, { key: keys.webhookQueues(endpoint), leaseMs });
  const dueSets = new Map<string, ReturnType<typeof dueSetFor>>();

  function dueSetOf(endpoint: string) {
    const dueSet = dueSets.get(endpoint) ?? dueSetFor(endpoint);
    dueSets.set(endpoint, dueSet);
    return dueSet;
  }

  async function removeHead(endpoint: string, entity: string, id: string, deadLetterFields: object = {}) {
    const reply = await ackScript.run(
      [...queueKeys(keys, [endpoint], entity), keys.webhookAttempts(endpoint), keys.deadWebhooks()],
      [id, entity, ttlSeconds, leaseMs, maxDeadLetters, ...Object.entries(deadLetterFields).flat().map(String)],
    );
    return reply === 1;
  }

  return {
    async enqueue(entity, { id, type, body, traceparent = "" }, endpoints, once = id) {
      const reply = await enqueueOnceScript.run(
        [keys.webhookAccepted(once), keys.deadWebhooks(), ...queueKeys(keys, endpoints, entity)],
        [
          acceptedSeconds,
          entity,
          id,
          traceparent === "" ? type : `${type};${traceparent}`,
          body,
          ...limitsOf(options),
          ...endpoints,
        ],
      );
      return toResults(reply, endpoints);
    },

    async head(endpoint, entity) {
      const [text, tries] = await Promise.all([
        commands.lindex(keys.webhookQueue(endpoint, entity), 0),
        commands.hget(keys.webhookAttempts(endpoint), entity),
      ]);
      return text === null ? undefined : { message: parseMessage(text), tries: Number(tries ?? 0) };
    },

    ack: (endpoint, entity, id) => removeHead(endpoint, entity, id),
    deadLetter: (endpoint, entity, id, { reason, tries }) =>
      removeHead(endpoint, entity, id, { endpoint, entity, reason, tries }),
    dropIfEmpty: (endpoint, entity) => removeHead(endpoint, entity, ""),
    async retry(endpoint, entity, { id, tries, pauseMs }) {
      const queueAndDueSet = [keys.webhookQueue(endpoint, entity), keys.webhookQueues(endpoint)];
      await retryScript.run(
        [...queueAndDueSet, keys.webhookAttempts(endpoint)],
        [id, entity, tries, Math.ceil(pauseMs), ttlSeconds],
      );
    },
    setDue: (endpoint, entities, delayMs) => dueSetOf(endpoint).plan(entities, delayMs, "known"),
    claim: (endpoint, most) => dueSetOf(endpoint).claim(most),
    leaseMs,
    waiting: async (endpoint) => Number((await commands.get(keys.webhookWaiting(endpoint))) ?? 0),
    async queues(endpoint, max) {
      const key = keys.webhookQueues(endpoint);
      const [count, flat] = await Promise.all([
        commands.zcard(key),
        commands.zrange(key, "0", String(max - 1), "WITHSCORES"),
      ]);
      const due = pairsOf(flat);
      const entities = due.map(([entity]) => entity);
      const tries = entities.length === 0 ? [] : await commands.hmget(keys.webhookAttempts(endpoint), ...entities);
      const next = due.map(([entity, at], index) => ({ entity, tries: Number(tries[index] ?? 0), nextAt: Number(at) }));
      return { count, next };
    },
  };
}

/** `<id> <type>[;<traceparent>] <body>` */
export function parseMessage(text: string): WebhookMessage {
  const [id = "", what = ""] = text.split(" ", 2);
  const [type, traceparent] = what.split(";") as [WebhookEvent, string?];
  return { id, type, body: text.slice(id.length + what.length + 2), traceparent };
}
