import { maxPartitions } from "../protocol/command-subject.ts";
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
  /** @default 1 */
  partitions?: number | undefined;
}

/** Reads the backlog of all partitions, also of those that no node reads; store errors are passed through. */
export async function readStreamBacklog(deps: StreamBacklogDeps): Promise<StreamBacklog> {
  const { keys, clock, partitions = 1 } = deps;
  const read = Array.from({ length: partitions }, (_, partition) => keys.commands(partition));
  const streams = [...read, ...(await streamsBeyond(deps, partitions))];
  const parts = await Promise.all(streams.map((stream) => readPartition(deps, stream)));
  const pending = new Map<string, number>();
  for (const { consumer, count } of parts.flatMap((part) => part.pending))
    pending.set(consumer, (pending.get(consumer) ?? 0) + count);
  const oldestAt = oldestOf(parts.map((part) => part.oldestAt));
  return {
    undelivered: parts.reduce((sum, { undelivered }) => sum + undelivered, 0),
    pending: [...pending].map(([consumer, count]) => ({ consumer, count })),
    oldestAt,
    lagMs: oldestAt === undefined ? 0 : Math.max(clock.now() - oldestAt, 0),
  };
}

/** Partitions beyond the configured number that have commands, which no node reads. */
export async function readUnreadPartitions(
  deps: Pick<StreamBacklogDeps, "commands" | "keys">,
  partitions: number,
): Promise<{ stream: string; waiting: number }[]> {
  const existing = await streamsBeyond(deps, partitions);
  const parts = await Promise.all(existing.map((stream) => readPartition(deps, stream)));
  return parts
    .map(({ undelivered, pending }, n) => ({
      stream: existing[n] as string,
      waiting: pending.reduce((sum, { count }) => sum + count, undelivered),
    }))
    .filter(({ waiting }) => waiting > 0);
}

async function streamsBeyond(
  { commands, keys }: Pick<StreamBacklogDeps, "commands" | "keys">,
  partitions: number,
): Promise<string[]> {
  const beyond = Array.from({ length: maxPartitions - partitions }, (_, n) => keys.commands(partitions + n));
  const found = await Promise.all(beyond.map((stream) => commands.exists(stream)));
  return beyond.filter((_, index) => found[index] === 1);
}

type PartitionBacklog = Omit<StreamBacklog, "lagMs">;

async function readPartition(
  { commands, group = "gateway" }: Pick<StreamBacklogDeps, "commands" | "group">,
  stream: string,
): Promise<PartitionBacklog> {
  const state = await groupState(commands, stream, group);
  const [undelivered, pending, next] = await Promise.all([
    state.lag ?? commands.xlen(stream),
    pendingOf(commands, stream, state.exists ? group : undefined),
    commands.xrange(stream, `(${state.lastDelivered}`, "+", "COUNT", 1),
  ]);
  const ids = [pending.oldest, next[0]?.[0]].filter((id) => id !== undefined && id !== null);
  const oldestAt = oldestOf(ids.map((id) => Number(id.split("-")[0])));
  return { undelivered, pending: pending.consumers, oldestAt };
}

function oldestOf(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
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
