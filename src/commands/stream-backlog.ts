import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";

/** Stream commands that are not performed yet, on all nodes. */
export interface StreamBacklog {
  /** Not delivered to a node yet. */
  undelivered: number;
  /** Delivered and not acknowledged, by consumer. */
  pending: { consumer: string; count: number }[];
  /** Epoch milliseconds of the oldest command that is not performed; undefined if there is none. */
  oldestAt: number | undefined;
  /** Age of that command in milliseconds; 0 if there is none. */
  lagMs: number;
}

export interface StreamBacklogDeps {
  commands: RedisClient;
  keys: Keys;
  /** The store's clock, which also assigned the ids. */
  clock: Pick<Clock, "now">;
  /** The consumer group. @default "gateway" */
  group?: string;
}

/** Reads the backlog; store errors are passed through. */
export async function readStreamBacklog(deps: StreamBacklogDeps): Promise<StreamBacklog> {
  const { commands, keys, clock, group = "gateway" } = deps;
  const stream = keys.commands();
  const state = await groupState(commands, stream, group);
  const [undelivered, pending, next] = await Promise.all([
    state.lag ?? commands.xlen(stream),
    pendingOf(commands, stream, state.exists ? group : undefined),
    commands.xrange(stream, `(${state.lastDelivered}`, "+", "COUNT", 1),
  ]);
  const ids = [pending.oldest, next[0]?.[0]].filter((id) => id !== undefined && id !== null);
  const times = ids.map((id) => Number(id.split("-")[0]));
  const oldestAt = times.length === 0 ? undefined : Math.min(...times);
  const lagMs = oldestAt === undefined ? 0 : Math.max(clock.now() - oldestAt, 0);
  return { undelivered, pending: pending.consumers, oldestAt, lagMs };
}

interface GroupState {
  exists: boolean;
  lastDelivered: string;
  /** Null or undefined if Redis cannot tell. */
  lag: number | null | undefined;
}

async function groupState(commands: RedisClient, stream: string, group: string): Promise<GroupState> {
  const groups = (await commands.xinfo("GROUPS", stream).catch(orNone)) as (string | number | null)[][];
  const fields = groups.map(toFields).find((candidate) => candidate.get("name") === group);
  if (fields === undefined) return { exists: false, lastDelivered: "0-0", lag: undefined };
  const lastDelivered = String(fields.get("last-delivered-id") ?? "0-0");
  return { exists: true, lastDelivered, lag: fields.get("lag") as number | null };
}

/** A stream that no command was added to does not exist. */
function orNone(error: unknown): [] {
  if (error instanceof Error && /no such key/i.test(error.message)) return [];
  throw error;
}

const toFields = (flat: readonly (string | number | null)[]): Map<string, string | number | null> =>
  new Map(flat.flatMap((value, index) => (index % 2 === 0 ? [[String(value), flat[index + 1] ?? null] as const] : [])));

type Pending = [count: number, oldest: string | null, newest: string | null, consumers: [string, string][] | null];

async function pendingOf(
  commands: RedisClient,
  stream: string,
  group: string | undefined,
): Promise<{ oldest: string | null; consumers: StreamBacklog["pending"] }> {
  if (group === undefined) return { oldest: null, consumers: [] };
  const [, oldest, , consumers] = (await commands.xpending(stream, group)) as Pending;
  const counts = (consumers ?? []).map(([consumer, count]) => ({ consumer, count: Number(count) }));
  return { oldest, consumers: counts };
}
