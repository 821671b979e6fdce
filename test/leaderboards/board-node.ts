import { inject, onTestFinished } from "vitest";
import type { TakeSnapshot } from "../../src/channels/subscription.ts";
import { createKinds } from "../../src/channels/kinds.ts";
import { createLeaderboards, type Leaderboards } from "../../src/leaderboards/leaderboards.ts";
import type { BoardSettings } from "../../src/leaderboards/boards.ts";
import type { Calendar, Season } from "../../src/leaderboards/seasons.ts";
import type { NotifySeason } from "../../src/leaderboards/tick.ts";
import type { Publication } from "../../src/channels/publication.ts";
import { applyDiff, type BoardDiff, type BoardSnapshot } from "../../src/protocol/board.ts";
import { createRedisConnections, type RedisAddress, type RedisClient } from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { reader, recordingSubscriber, startChannelsNode, type ChannelsNode } from "../support/nodes.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";

export interface BoardNode extends ChannelsNode {
  leaderboards: Leaderboards;
  keys: Keys;
  commands: RedisClient;
}

export interface BoardNodeOptions {
  prefix?: string;
  boards?: Record<string, BoardSettings>;
  calendar?: Calendar;
  /** Seed of a Redis Cluster to use instead of the run's Redis. */
  cluster?: string;
  /** False: subscribers are served, but somebody else must tick. @default true */
  isTicking?: boolean;
  sweepMs?: number;
  notifySeason?: NotifySeason;
}

/** The leaderboards of one node with the channels they publish into, on real Redis; no socket in sight. */
export async function startBoardNode(options: BoardNodeOptions = {}): Promise<BoardNode> {
  const { prefix = freshPrefix(), calendar } = options;
  const snapshots = new Map<string, TakeSnapshot>();
  const address = options.cluster === undefined ? {} : { address: clusterAt(options.cluster) };
  const node = await startChannelsNode({ prefix, snapshots, ...address });
  const keys = createKeys(prefix);
  const commands = node.redis.connection("commands");
  const feed = createShardedFeed({ subscriber: node.redis.connection("subscriber"), clock: systemClock });
  await eventually(() => feed.subscribe(`${prefix}:started`, () => undefined));
  const leaderboards = createLeaderboards(
    {
      commands,
      isCluster: node.redis.isCluster,
      feed,
      keys,
      kinds: createKinds({}),
      clock: systemClock,
      log: quietLog,
      notifySeason: options.notifySeason,
      ...(calendar === undefined ? {} : { calendarOf: () => calendar }),
    },
    {
      boards: options.boards ?? { "*": {} },
      ...(options.sweepMs === undefined ? {} : { sweepMs: options.sweepMs }),
    },
  );
  snapshots.set("leaderboard", leaderboards.boardSnapshot).set("rank", leaderboards.rankSnapshot);
  if (options.isTicking ?? true) node.channels.onSubscription((change) => leaderboards.onSubscription(change));
  if (options.isTicking ?? true) await leaderboards.start?.();
  onTestFinished(async () => await leaderboards.stop?.(new AbortController().signal));
  return { ...node, leaderboards, keys, commands };
}

/** Resolves when Redis tells the node of a board's changes, which a subscriber of the board does not wait for. */
export async function isNotified({ commands, keys }: BoardNode, board: string): Promise<void> {
  await eventually(async () => {
    const [, count] = (await commands.call("PUBSUB", "SHARDNUMSUB", keys.boardTouched(board))) as unknown[];
    if (Number(count) === 0) throw new Error(`nobody is told of the changes of ${board}`);
  });
}

const clusterAt = (url: string): RedisAddress => ({ topology: "cluster", urls: [url] });

/** Leaderboards alone, for stories in which nobody subscribes. */
export async function startBoards(
  boards: Record<string, BoardSettings> = { "*": {} },
  clock: Clock = systemClock,
): Promise<{ leaderboards: Leaderboards; commands: RedisClient; keys: Keys }> {
  const redis = createRedisConnections({
    address: { topology: "single", url: inject("redisUrl") },
    nodeId: "boards",
    log: quietLog,
  });
  onTestFinished(() => redis.close());
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const keys = createKeys(freshPrefix());
  const feed = { subscribe: async () => undefined, unsubscribe: () => undefined, onRestored: () => undefined };
  const leaderboards = createLeaderboards(
    {
      commands,
      keys,
      feed,
      isCluster: false,
      kinds: createKinds({}),
      clock,
      log: quietLog,
    },
    { boards },
  );
  return { leaderboards, commands, keys };
}

/** Somebody who subscribes to a board and keeps it by snapshot and diffs, as a client does. */
export interface BoardViewer {
  /** The board at every revision there was, from the snapshot on. */
  readonly revisions: () => BoardSnapshot[];
  readonly board: () => BoardSnapshot;
  readonly publications: Publication[];
}

export async function viewBoard(node: BoardNode, board: string, userId = "viewer"): Promise<BoardViewer> {
  const subscriber = recordingSubscriber();
  const { snapshot } = await node.channels.subscribe(subscriber, reader(userId), `leaderboard:${board}`);
  const revisions = [snapshot as BoardSnapshot];
  let applied = 0;
  const catchUp = (): BoardSnapshot[] => {
    for (; applied < subscriber.seen.length; applied += 1) {
      const { event, data } = subscriber.seen[applied] as Publication;
      if (event === "leaderboard.diff") revisions.push(applyDiff(revisions.at(-1)!, data as BoardDiff));
    }
    return revisions;
  };
  return { revisions: catchUp, board: () => catchUp().at(-1)!, publications: subscriber.seen };
}

/**
 * Redis' own clock cannot be moved, so tests use a calendar whose seasons last less than a second. The scripts know only
 * the boundaries of a season and compare them with Redis time, as with real seasons.
 */
export function shortSeasons(lengthMs: number): Calendar {
  const at = (moment: number): Season => {
    const startsAt = Math.floor(moment / lengthMs) * lengthMs;
    return { id: `s${startsAt}`, startsAt, endsAt: startsAt + lengthMs };
  };
  return { at, named: (id) => (/^s\d+$/.test(id) ? at(Number(id.slice(1))) : undefined) };
}

/** Plays a story that must happen in one season; one in which the season ended says nothing, and is played again. */
export async function withinSeason<T>(calendar: Calendar, story: (season: Season) => Promise<T>): Promise<T> {
  for (;;) {
    const season = calendar.at(Date.now());
    const hasEnded = (): boolean => Date.now() >= season.endsAt;
    try {
      const told = await story(season);
      if (!hasEnded()) return told;
    } catch (error) {
      if (!hasEnded()) throw error;
    }
  }
}
