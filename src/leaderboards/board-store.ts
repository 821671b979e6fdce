import { GatewayError } from "../protocol/errors.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import type { BoardKeys } from "./board-keys.ts";
import type { Board, ScoreMode } from "./boards.ts";
import { toEntry } from "./diff.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Season } from "./seasons.ts";

/**
 * Scores and ranks of a board in Redis.
 *
 * Order: submissions of one call are taken in order, a hundred at one moment; calls are taken in the order in which they
 * came. Who reached a score first stands before all who reach the same score later, by the order in which Redis took them
 * and not by any clock; keeping one's score keeps the place, reaching it anew does not. Ranks are exact and cost
 * O(log n), ties too.
 *
 * Precision: a score is kept and read back as the very double that was sent; sums are sums of doubles.
 *
 * Atomicity: what a call changed is on the board when it answers, and the board is marked as changed by the same
 * script. Where a call failed, what it brought may or may not have been taken. With an idempotency key it may be made
 * again: what was taken is remembered by the script that took it, and answered as the first time.
 *
 * Seasons: each has its own keys. A call is taken in the season of its moment by Redis' clock, so none is lost or
 * counted twice at the turn, and nothing ever writes into a past season.
 */
export interface BoardStore {
  /** `standings` in the order of the submissions. Throws `conflict` where the key was used for other content. */
  submit(board: Board, submissions: readonly Submission[], options: SubmitOptions): Promise<Submitted>;
  /** False where the member was not on the board. */
  remove(board: Board, member: string): Promise<boolean>;
  /** Entries after the first `start`; of the present season where none is given. */
  page(board: Board, range: { start: number; limit: number }, season?: Season): Promise<Page>;
  /** The member and up to `radius` on either side; none where it is not on the board. */
  around(board: Board, member: string, radius: number): Promise<Page>;
  /** Costs next to nothing; pages of one season and version are the same. */
  version(board: Board): Promise<BoardVersion>;
}

/** The present season of a board, and what tells its states apart in it. */
export interface BoardVersion {
  season: Season;
  version: string;
}

export interface Submission {
  member: string;
  score: number;
  mode: ScoreMode;
  /** JSON text; undefined keeps what there is, `null` forgets it. */
  data?: string | undefined;
}

export interface SubmitOptions {
  /** Without ranks a large batch costs a fifth less; then both are null. */
  withRanks: boolean;
  /** Makes a repeat harmless. */
  once?: OnceKey | undefined;
}

/** An idempotency key, and what it is good for; the same key in another scope is another. */
export interface OnceKey {
  scope: string;
  key: string;
}

export interface Submitted {
  total: number;
  /** "overflow" where adding would pass the largest number; then nothing was changed. */
  standings: (Standing | "overflow")[];
}

/** Where a member stands after the hundred it was taken with, and stood before them. */
export interface Standing {
  score: number;
  rank: number | null;
  previousRank: number | null;
}

export interface RankedEntry {
  rank: number;
  member: string;
  score: number;
  /** When it reached this score, epoch milliseconds. */
  updatedAt: number;
  data?: unknown;
}

export interface Page {
  season: Season;
  /** Diffs that the board published so far, in all seasons. */
  revision: number;
  total: number;
  entries: RankedEntry[];
}

export interface BoardStoreDeps {
  commands: RedisClient;
  keys: Pick<Keys, "boardOnce">;
  keysOf: (board: string, season: Season) => BoardKeys;
  seasons: SeasonClock;
}

export interface BoardStoreOptions {
  /** Seconds an idempotency key is remembered. */
  idempotencyTtlSeconds: number;
}

export function createBoardStore(
  { commands, keys, keysOf, seasons }: BoardStoreDeps,
  { idempotencyTtlSeconds }: BoardStoreOptions,
): BoardStore {
  const submitScript = loadScript(commands, script("submit"), [script("board"), script("score")]);
  const removeScript = loadScript(commands, script("remove"), [script("board")]);
  const readScript = loadScript(commands, script("read"), [script("board")]);
  const versionScript = loadScript(commands, script("version"), [script("board")]);

  async function submitPart(
    board: Board,
    part: readonly Submission[],
    { withRanks, once }: { withRanks: boolean; once: OncePart | undefined },
  ): Promise<Submitted> {
    const args = part.flatMap(({ member, score, mode, data }) => [member, String(score), mode, data ?? ""]);
    const { reply } = await seasons.within(board, (season) => {
      const { state, ranking, places, data, touched } = keysOf(board.name, season);
      const head = [board.order, season.startsAt, season.endsAt, endOfLife(board, season), withRanks ? 1 : 0];
      const scriptKeys = [state, ranking, places, data, touched];
      if (once !== undefined) scriptKeys.push(keys.boardOnce(board.name, once));
      return submitScript.run(scriptKeys, [...head, once?.content ?? "", idempotencyTtlSeconds, ...args]);
    });
    return toSubmitted(reply[0] === "known" ? answerOf(String(reply[1]), once) : reply, withRanks);
  }

  /** The first part of a call tells whether its key was used for other content, before another takes effect. */
  async function submitOnce(
    board: Board,
    submissions: readonly Submission[],
    { withRanks, once }: { withRanks: boolean; once: OnceKey },
  ): Promise<Submitted[]> {
    const content = fingerprint([withRanks, submissions]);
    const submitNth = (part: readonly Submission[], index: number): Promise<Submitted> =>
      submitPart(board, part, { withRanks, once: { ...once, content, part: index } });
    const [first = [], ...others] = inParts(submissions);
    const done = await submitNth(first, 0);
    return [done, ...(await Promise.all(others.map((part, index) => submitNth(part, index + 1))))];
  }

  /** A season that was asked for by name is read as it is; otherwise Redis' clock says which is the present one. */
  async function read(board: Board, view: [string, string | number, number], named?: Season): Promise<Page> {
    const ask = (season: Season, endsAt: number | ""): Promise<ScriptReply> => {
      const { state, ranking, places, data } = keysOf(board.name, season);
      return readScript.run([state, ranking, places, data], [board.order, season.startsAt, endsAt, ...view]);
    };
    if (named !== undefined) return toPage(named, (await ask(named, "")) as ScriptReply[]);
    const { season, reply } = await seasons.within(board, (current) => ask(current, current.endsAt));
    return toPage(season, reply);
  }

  return {
    async submit(board, submissions, { withRanks, once }) {
      const done = await (once === undefined
        ? Promise.all(inParts(submissions).map((part) => submitPart(board, part, { withRanks, once })))
        : submitOnce(board, submissions, { withRanks, once }));
      return { total: done.at(-1)?.total ?? 0, standings: done.flatMap(({ standings }) => standings) };
    },

    async remove(board, member) {
      const { reply } = await seasons.within(board, (season) => {
        const { state, ranking, places, data, touched } = keysOf(board.name, season);
        return removeScript.run([state, ranking, places, data, touched], [season.startsAt, season.endsAt, member]);
      });
      return reply[1] === 1;
    },

    page: (board, { start, limit }, season) => read(board, ["page", start, limit], season),
    around: (board, member, radius) => read(board, ["around", member, radius]),

    async version(board) {
      const { season, reply } = await seasons.within(board, (current) =>
        versionScript.run([keysOf(board.name, current).state], [current.startsAt, current.endsAt]),
      );
      const [, stamp, revision] = reply as [string, string, string];
      return { season, version: `${stamp}-${revision}` };
    },
  };
}

/**
 * Submissions that one script takes. Many more at once hold Redis up for everybody, and cost more each: what the script
 * touches no longer fits the processor's cache. The parts of a call leave together and are taken in order.
 */
const partSize = 100;

function inParts(submissions: readonly Submission[]): Submission[][] {
  const parts: Submission[][] = [];
  for (let at = 0; at < submissions.length; at += partSize) parts.push(submissions.slice(at, at + partSize));
  return parts;
}

/** The key of one script's part of a call. */
interface OncePart extends OnceKey {
  /** Fingerprint of the whole call. */
  content: string;
  part: number;
}

/** What the key's first call was answered; throws `conflict` where that had other content. */
function answerOf(known: string, once: OncePart | undefined): string[] {
  const [content, ...answer] = known.split("\n");
  if (content === once?.content) return answer;
  throw new GatewayError("conflict", "The idempotency key was used for other content.", { field: "idempotencyKey" });
}

/** Where the room's scripts are. */
export const script = (name: string): URL => new URL(`./${name}.lua`, import.meta.url);

/** Epoch seconds at which a season's keys vanish; 0 for a board without seasons, which is kept. */
export function endOfLife(board: Board, season: Season): number {
  return season.id === null ? 0 : Math.ceil(season.endsAt / 1_000) + board.archiveTtlSeconds;
}

function toSubmitted(reply: ScriptReply[], withRanks: boolean): Submitted {
  const [, total, ...flat] = reply as (string | number)[];
  const width = withRanks ? 3 : 1;
  const standings: Submitted["standings"] = [];
  for (let i = 0; i < flat.length; i += width) {
    const ranks = withRanks ? flat.slice(i + 1, i + 3).map(orNull) : [null, null];
    standings.push(flat[i] === "" ? "overflow" : toStanding(Number(flat[i]), ranks));
  }
  return { total: Number(total), standings };
}

const orNull = (rank: unknown): number | null => Number(rank) || null;

const toStanding = (score: number, [rank = null, previousRank = null]: (number | null)[]): Standing => ({
  score,
  rank,
  previousRank,
});

function toPage(season: Season, reply: ScriptReply[]): Page {
  const [, revision, total, firstRank, ...flat] = reply as [string, number, number, number, ...(string | number)[]];
  const entries: RankedEntry[] = [];
  for (let i = 0; i < flat.length; i += 4) {
    const [member, score, updatedAt, data] = flat.slice(i, i + 4) as [string, string, number, string | null];
    entries.push(toEntry({ rank: firstRank + i / 4, member, score: Number(score), updatedAt }, data ?? undefined));
  }
  return { season, revision, total, entries };
}
