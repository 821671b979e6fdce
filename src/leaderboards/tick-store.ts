import { appendScripts, appendTail, appendTarget, positionScripts } from "../channels/append.ts";
import { freshEpoch, type Kinds } from "../channels/kinds.ts";
import type { Position } from "../protocol/scalars.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { appendArgs, appendKeys } from "./append-call.ts";
import type { BoardKeys } from "./board-keys.ts";
import { expiryOf, script } from "./board-store.ts";
import { boardChannel, type Board } from "./boards.ts";
import { parseTop, topJson, type TopEntry } from "./diff.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Season } from "./seasons.ts";

/**
 * The published top of a board, and the claim to publish the next diff.
 *
 * A tick has two steps. `claim` gives the right to one node, at most once per tick across the cluster by Redis time, with
 * the published and the current top. `finish` publishes the diff, stores the new top and releases the claim, in one
 * script, and only for the latest claim. So a node may die or hang in between: its claim ends after `claimMs`, the next
 * node compares with what was really published, and the late node changes nothing. No node owns a board, so there is
 * nothing to take over.
 */
export interface TickStore {
  claim(board: Board): Promise<TickClaim>;
  /** The current timestamp of the board; undefined if the claim was lost and nothing happened. */
  finish(board: Board, tick: ClaimedTick, publications: TickPublications): Promise<string | undefined>;
  /** The published top and the position of the board's channel, read atomically. */
  published(board: Board): Promise<PublishedTop>;
}

/** `timestamp` increases with each change of the board. */
export type TickClaim = { outcome: "clean"; timestamp: string } | EarlyTick | ClaimedTick;

/** Another tick was published or claimed too recently. */
interface EarlyTick extends Pick<ClaimedTick, "timestamp" | "season" | "announced"> {
  outcome: "early";
  waitMs: number;
}

export interface ClaimedTick {
  outcome: "claimed";
  timestamp: string;
  /** Fencing number. */
  claim: number;
  revision: number;
  season: Season;
  /** Start of the last published season; undefined before the first. */
  announced: number | undefined;
  total: number;
  published: TopEntry[];
  entries: TopEntry[];
}

/** What a tick publishes, as JSON texts, and the trace context of the change that caused it, if any. */
export interface TickPublications {
  traceparent?: string;
  season?: string | undefined;
  diff?: string | undefined;
}

export interface PublishedTop {
  at: Position;
  revision: number;
  total: number;
  entries: TopEntry[];
}

export interface TickStoreDeps {
  commands: RedisClient;
  isCluster: boolean;
  keys: Keys;
  kinds: Kinds;
  keysOf: (board: string, season: Season) => BoardKeys;
  seasons: SeasonClock;
}

/** Min duration of a claim: longer than a slow Redis reply, and short enough that a killed node delays one tick. */
const claimMs = 500;

/** TTL in seconds of a position that only a snapshot has created, as in `channel-log.ts`. */
const idleTtlSeconds = 3_600;

export function createTickStore(deps: TickStoreDeps): TickStore {
  const { commands, keys, kinds, keysOf, seasons } = deps;
  const claimScript = loadScript(commands, script("claim"), [script("board")]);
  const finishScript = loadScript(commands, script("finish"), appendScripts);
  const publishedScript = loadScript(commands, script("published"), positionScripts, { isOrdered: false });

  return {
    async claim(board) {
      const { season, reply } = await seasons.runInSeason(board, (current) => {
        const { state, ranking, data, changedFeed: touched } = keysOf(board.name, current);
        const life = [board.top, Math.max(claimMs, board.tickMs)];
        const args = [board.order, current.startsAt, current.endsAt, expiryOf(board, current), ...life];
        return claimScript.run([state, ranking, data, touched], args);
      });
      return toClaim(season, reply);
    },

    async finish(board, tick, { season, diff, traceparent = "" }) {
      const channel = boardChannel(board.name);
      const target = appendTarget(deps, channel, kinds.of(channel).history, traceparent);
      const reply = await finishScript.run(appendKeys(target, keysOf(board.name, tick.season).state), [
        ...appendArgs(target),
        tick.claim,
        tick.timestamp,
        tick.season.startsAt,
        tick.total,
        topJson(tick.entries),
        board.tickMs,
        season === undefined ? "" : appendTail("leaderboard.season", season),
        diff === undefined ? "" : appendTail("leaderboard.diff", diff),
      ]);
      const [outcome, timestamp] = reply as [string, string];
      return outcome === "done" ? timestamp : undefined;
    },

    async published(board) {
      const { state } = keysOf(board.name, seasons.current(board));
      const scriptKeys = [keys.channelMeta(boardChannel(board.name)), state];
      return toPublished(await publishedScript.run(scriptKeys, [freshEpoch(), idleTtlSeconds]));
    },
  };
}

function toClaim(season: Season, reply: ScriptReply[]): TickClaim {
  const [outcome, timestamp, ...rest] = reply as [TickClaim["outcome"], string, ...ScriptReply[]];
  if (outcome === "clean") return { outcome, timestamp };
  if (outcome === "early") {
    const [waitMs, announced] = rest as [number, string];
    return { outcome, timestamp, waitMs, season, announced: toAnnounced(announced) };
  }
  const [claim, revision, top, announced, total, ...flat] = rest as [
    number,
    number,
    string,
    string,
    number,
    ...string[],
  ];
  return {
    outcome,
    timestamp,
    claim,
    revision,
    season,
    total,
    announced: toAnnounced(announced),
    published: parseTop(top),
    entries: toTop(flat),
  };
}

const toAnnounced = (startsAt: string): number | undefined => (startsAt === "" ? undefined : Number(startsAt));

function toTop(flat: readonly (string | null)[]): TopEntry[] {
  const entries: TopEntry[] = [];
  for (let i = 0; i < flat.length; i += 3) {
    const [member, score, data] = flat.slice(i, i + 3) as [string, string, string | null];
    entries.push({ member, score: Number(score), data: data ?? undefined });
  }
  return entries;
}

function toPublished(reply: ScriptReply): PublishedTop {
  const [epoch, offset, revision, total, top] = reply as [string, string, number, number, string];
  return { at: { epoch, offset: Number(offset) }, revision, total, entries: parseTop(top) };
}
