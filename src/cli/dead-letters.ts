import { loadConfig } from "../config.ts";
import type { Environment } from "../config/environment.ts";
import { findStore } from "../gateway/locate-store.ts";
import { createDeadCommandStore } from "../commands/dead-command-store.ts";
import { createRedisConnections } from "../redis/connections.ts";
import {
  createDeadLetters,
  type DeadLetterOutcome,
  type DeadLetters,
  type StoredDeadLetter,
} from "../redis/queues/dead-letters.ts";
import { createKeys } from "../redis/keys.ts";
import { createLogger } from "../runtime/logger.ts";
import { createDeadWebhookStore } from "../webhooks/dead-webhook-store.ts";
import { withoutControls } from "./terminal-text.ts";

/** Whose dead letters: commands that could not be performed, or webhooks that could not be delivered. */
export const deadLetterKinds = ["commands", "webhooks"] as const;

export interface DeadLetterOptions {
  of: (typeof deadLetterKinds)[number];
}

export interface ListOptions extends DeadLetterOptions {
  after?: string;
  limit?: number;
  json?: boolean;
}

/** Max milliseconds for Redis to respond. */
const readyTimeoutMs = 5_000;

/** The oldest letters, one a line, or as JSON. */
export function listDeadLetters(env: Environment, { of, after, limit, json }: ListOptions): Promise<string> {
  return withLetters(env, of, async (letters) => {
    const page = await letters.list({ after, limit });
    if (json === true) return JSON.stringify(page, null, 2);
    if (page.length === 0) return after === undefined ? "There are no dead letters." : "No more dead letters.";
    return [...page.map(toLine), `${await letters.count()} in total.`].join("\n");
  });
}

/** Hands letters in again: those named, or all there are. */
export function replayDeadLetters(
  env: Environment,
  ids: readonly string[],
  { of }: DeadLetterOptions,
): Promise<string> {
  return withLetters(env, of, async (letters) => {
    const outcome = await (ids.length === 0 ? letters.replayAll() : letters.replay(ids));
    return toSentence(outcome, "replayed");
  });
}

export function removeDeadLetters(
  env: Environment,
  ids: readonly string[],
  { of }: DeadLetterOptions,
): Promise<string> {
  return withLetters(env, of, async (letters) => toSentence(await letters.remove(ids), "removed"));
}

const createStore = { commands: createDeadCommandStore, webhooks: createDeadWebhookStore } as const;

async function withLetters(
  env: Environment,
  of: DeadLetterOptions["of"],
  act: (letters: DeadLetters) => Promise<string>,
): Promise<string> {
  const { redis: configured, keyPrefix, nodeId } = loadConfig(env);
  if (configured === undefined)
    throw new Error("dead letters are stored in Redis; set REDIS_URL to the gateway's Redis");
  const address = await findStore(configured);
  const redis = createRedisConnections({ address, nodeId, log: createLogger({ level: "silent" }) });
  try {
    await redis.ready(readyTimeoutMs);
    const store = { commands: redis.connection("commands"), keys: createKeys(keyPrefix) };
    return await act(createDeadLetters(createStore[of](store)));
  } finally {
    await redis.close();
  }
}

function toLine({ id, at, code, reason, tries, command }: StoredDeadLetter): string {
  return [id, new Date(at).toISOString(), code, `${tries} tries`, reason, command].map(oneLine).join("  ");
}

const oneLine = (text: string): string => withoutControls(text).slice(0, 400);

function toSentence({ done, missing }: DeadLetterOutcome, what: string): string {
  const lost = missing.length === 0 ? "" : ` Not found, or handled by somebody else: ${missing.join(", ")}.`;
  return `${done.length} ${what}.${lost}`;
}
