import type { RedisClient } from "../redis/connections.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import type { BoardKeys } from "./board-keys.ts";
import type { Board } from "./boards.ts";
import { toEntry } from "./diff.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Season } from "./seasons.ts";

/**
 * The entries of a board. Ranks are exact and cost O(log n), with ties too; `submission-store.ts` describes the
 * guarantees for submitting scores.
 */
export interface BoardStore {
  /** False if the member was not on the board. */
  remove(board: Board, member: string): Promise<boolean>;
  /** The same for a past season. */
  removeFromSeason(board: Board, season: Season, member: string): Promise<boolean>;
  /** Entries after the first `start`; of the current season if none is given. */
  page(board: Board, range: { start: number; limit: number }, season?: Season): Promise<Page>;
  /** The member and up to `radius` entries on each side; none if it is not on the board. */
  around(board: Board, member: string, radius: number, season?: Season): Promise<Page>;
  /** The entries of those members that are on the board, sorted by rank. */
  entries(board: Board, members: readonly string[]): Promise<Page>;
  /** Removes all members of the current season; false if there were none. */
  removeBoard(board: Board): Promise<boolean>;
  /** Removes all members of past seasons. */
  removeSeasons(board: Board, seasons: readonly Season[]): Promise<void>;
  /** Very cheap; pages of the same season and version are identical. */
  version(board: Board): Promise<BoardVersion>;
}

/** The current season of a board, and a text that differs after every change. */
export interface BoardVersion {
  season: Season;
  version: string;
}

export interface RankedEntry {
  rank: number;
  member: string;
  score: number;
  /** When the member reached this score, in epoch milliseconds. */
  updatedAt: number;
  data?: unknown;
}

export interface Page {
  season: Season;
  /** Number of diffs published so far, in all seasons. */
  revision: number;
  total: number;
  entries: RankedEntry[];
}

export interface BoardStoreDeps {
  commands: RedisClient;
  keysOf: (board: string, season: Season) => BoardKeys;
  seasons: SeasonClock;
}

export function createBoardStore({ commands, keysOf, seasons }: BoardStoreDeps): BoardStore {
  const removeScript = loadScript(commands, script("remove"), [script("board")]);
  const removePastScript = loadScript(commands, script("remove-past"), [script("board")]);
  const removeBoardScript = loadScript(commands, script("remove-board"), [script("board")]);
  const entriesScript = loadScript(commands, script("entries"), [script("board")]);
  const readScript = loadScript(commands, script("read"), [script("board")]);
  const versionScript = loadScript(commands, script("version"), [script("board")]);

  /** A named season is read as it is; otherwise Redis time determines the current one. */
  async function read(board: Board, view: [string, string | number, number], named?: Season): Promise<Page> {
    const ask = (season: Season, endsAt: number | ""): Promise<ScriptReply> => {
      const { state, ranking, places, data } = keysOf(board.name, season);
      return readScript.run([state, ranking, places, data], [board.order, season.startsAt, endsAt, ...view]);
    };
    if (named !== undefined) return toPage(named, (await ask(named, "")) as ScriptReply[]);
    const { season, reply } = await seasons.runInSeason(board, (current) => ask(current, current.endsAt));
    return toPage(season, reply);
  }

  return {
    async remove(board, member) {
      const { reply } = await seasons.runInSeason(board, (season) => {
        const { state, ranking, places, data, changedFeed: touched } = keysOf(board.name, season);
        return removeScript.run([state, ranking, places, data, touched], [season.startsAt, season.endsAt, member]);
      });
      return reply[1] === 1;
    },

    async removeFromSeason(board, season, member) {
      const { ranking, places, data } = keysOf(board.name, season);
      return (await removePastScript.run([ranking, places, data], [member])) === 1;
    },

    page: (board, { start, limit }, season) => read(board, ["page", start, limit], season),
    around: (board, member, radius, season) => read(board, ["around", member, radius], season),

    async entries(board, members) {
      const { season, reply } = await seasons.runInSeason(board, (current) => {
        const { state, ranking, places, data } = keysOf(board.name, current);
        return entriesScript.run(
          [state, ranking, places, data],
          [board.order, current.startsAt, current.endsAt, ...members],
        );
      });
      return toEntries(season, reply);
    },

    async removeBoard(board) {
      const { reply } = await seasons.runInSeason(board, (season) => {
        const { state, ranking, places, data, changedFeed } = keysOf(board.name, season);
        const scriptKeys = [state, ranking, places, data, changedFeed];
        return removeBoardScript.run(scriptKeys, [season.startsAt, season.endsAt]);
      });
      return reply[1] === 1;
    },

    async removeSeasons(board, past) {
      for (const season of past) {
        const { ranking, places, data } = keysOf(board.name, season);
        await commands.unlink(ranking, places, data);
      }
    },

    async version(board) {
      const { season, reply } = await seasons.runInSeason(board, (current) => {
        const { state, ranking } = keysOf(board.name, current);
        return versionScript.run([state, ranking], [current.startsAt, current.endsAt]);
      });
      const [, ...parts] = reply;
      return { season, version: parts.join("-") };
    },
  };
}

/** URL of a script in this folder. */
export const script = (name: string): URL => new URL(`./${name}.lua`, import.meta.url);

/** When the keys of a board expire, as `expiryOf` in `board.lua` reads it. */
export function expiryOf(board: Board, season: Season): string {
  if (season.id !== null) return String(Math.ceil(season.endsAt / 1_000) + board.archiveTtlSeconds);
  return board.ttlSeconds === undefined ? "0" : `+${board.ttlSeconds}`;
}

function toEntries(season: Season, reply: ScriptReply[]): Page {
  const [, revision, total, ...flat] = reply as [string, number, number, ...(string | number)[]];
  const entries: RankedEntry[] = [];
  for (let i = 0; i < flat.length; i += 5) {
    const [rank, member, score, updatedAt, data] = flat.slice(i, i + 5) as [
      number,
      string,
      string,
      number,
      string | null,
    ];
    entries.push(toEntry({ rank, member, score: Number(score), updatedAt }, data ?? undefined));
  }
  return { season, revision, total, entries: entries.toSorted((a, b) => a.rank - b.rank) };
}

function toPage(season: Season, reply: ScriptReply[]): Page {
  const [, revision, total, firstRank, ...flat] = reply as [string, number, number, number, ...(string | number)[]];
  const entries: RankedEntry[] = [];
  for (let i = 0; i < flat.length; i += 4) {
    const [member, score, updatedAt, data] = flat.slice(i, i + 4) as [string, string, number, string | null];
    entries.push(toEntry({ rank: firstRank + i / 4, member, score: Number(score), updatedAt }, data ?? undefined));
  }
  return { season, revision, total, entries };
}
