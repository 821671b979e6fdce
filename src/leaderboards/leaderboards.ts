import type { TakeSnapshot } from "../channels/subscription.ts";
import { idempotencyDefaults } from "../channels/publication.ts";
import type { Kinds } from "../channels/kinds.ts";
import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Spans } from "../runtime/spans.ts";
import { createBoardKeys } from "./board-keys.ts";
import { createBoardIndexStore } from "./board-index-store.ts";
import { createBoardStore, type Page, type RankedEntry } from "./board-store.ts";
import { createBoards, type Board, type BoardSettings, type ScoreMode } from "./boards.ts";
import { createBoardChangeFeed } from "./board-change-feed.ts";
import { createMemberScores, type MemberScore } from "./member-scores.ts";
import { createRankStore } from "./rank-store.ts";
import { createSeasonEnds, type SeasonEnds } from "./season-ends.ts";
import { SeasonClock } from "./season-clock.ts";
import type { Calendar, Season, SeasonLength } from "./seasons.ts";
import { createBoardSnapshots, createRankSnapshots } from "./snapshots.ts";
import { SubmissionQueue } from "./submission-queue.ts";
import { createSubmissionStore, type ScoreResult, type Submission } from "./submission-store.ts";
import { createTickStore } from "./tick-store.ts";
import { createTick, type NotifySeason } from "./tick.ts";
import { Ticker } from "./ticker.ts";

export interface LeaderboardsOptions {
  /** By board; `"*"` applies to any other. */
  boards: Readonly<Record<string, BoardSettings>>;
  /** Max milliseconds until a change is found whose notification was lost. @default 500 */
  sweepMs?: number;
  /** Seconds an idempotency key is remembered. @default 86400 */
  idempotencyTtlSeconds?: number;
}

export interface LeaderboardsDeps {
  commands: RedisClient;
  isCluster: boolean;
  feed: ShardedFeed;
  keys: Keys;
  kinds: Kinds;
  clock: Clock;
  log: Logger;
  /** Omit for no traces. */
  spans?: Spans | undefined;
  /** Called at least once for each change of season that is published. */
  notifySeason?: NotifySeason | undefined;
  /** How time is divided into seasons. @default the calendar in UTC */
  calendarOf?: (length: SeasonLength) => Calendar;
}

/** A score to submit. */
export interface ScoreSubmission {
  member: string;
  score: number;
  /** @default the board's */
  mode?: ScoreMode | undefined;
  /** JSON in canonical form, at most 1024 bytes; omit to keep the current data, `null` removes it. */
  data?: string | undefined;
}

export interface SubmitManyOptions {
  /** Large batches cost less without ranks; they are null then. @default true */
  withRanks?: boolean;
  /** Of the whole batch. */
  idempotencyKey?: string | undefined;
}

/** The result of a submission. */
export interface SubmitResult extends ScoreResult {
  board: string;
  member: string;
  total: number;
}

/** Result of one submission of a batch, with the ranks after the hundred it was applied with; or why it was refused. */
export type BatchScoreResult = ({ member: string } & ScoreResult) | GatewayError;

export interface BoardRange {
  /** Entries to skip. @default 0 */
  start?: number | undefined;
  /** @default the board's top */
  limit?: number | undefined;
  /** @default the current season */
  season?: string | undefined;
}

export interface BoardList {
  boards: { board: string; season: string | null; revision: number; total: number }[];
  /** Absent on the last page. */
  cursor?: string;
}

export interface ListedSeason {
  season: string;
  /** Epoch milliseconds. */
  startsAt: number;
  endsAt: number;
  current: boolean;
}

/** Entries sorted by rank. */
export interface SeasonPage {
  board: string;
  /** Null if the board has no seasons. */
  season: string | null;
  /** Diffs that the board published so far, in all seasons. */
  revision: number;
  total: number;
  entries: RankedEntry[];
}

/** A member and those around it; null and nobody where it is not on the board. */
export interface Neighbourhood {
  board: string;
  total: number;
  entry: RankedEntry | null;
  entries: RankedEntry[];
}

/**
 * Leaderboards: submitting and reading scores, and the publications of `leaderboard:{board}` and `rank:{board}:{userId}`.
 * `submission-store.ts` describes the guarantees for order, ties and precision; `tick-store.ts` and `rank-store.ts` those
 * for publications. Every call throws `not_found` for a board that is not configured.
 *
 * A repeat with the same idempotency key and content gets the first response and changes nothing; with different content
 * it is a `conflict`. Keys are separate for each member, and for single scores and batches.
 */
export interface Leaderboards extends Service {
  /**
   * Throws `bad_request`, `payload_too_large` and `conflict`, naming the field. The key is remembered for `ttlSeconds`, by
   * default as long as configured.
   */
  submit(
    board: string,
    submission: ScoreSubmission,
    idempotencyKey?: string,
    ttlSeconds?: number,
  ): Promise<SubmitResult>;
  /** Applied in order; an invalid one fails alone. Throws `conflict`. */
  submitMany(
    board: string,
    submissions: readonly ScoreSubmission[],
    options?: SubmitManyOptions,
  ): Promise<BatchScoreResult[]>;
  /** A client's own score: `forbidden` unless the board has `clientWrites`. */
  submitAs(userId: string, board: string, score: number): Promise<SubmitResult>;
  /** False where the member was not on the board. */
  remove(board: string, member: string): Promise<boolean>;
  /** Throws `bad_request` for an id that cannot be a season of this board, and `not_found` for one without scores. */
  top(board: string, range?: BoardRange): Promise<SeasonPage>;
  /** The board's current season, and a text that differs after every change that a page can show. */
  version(board: string): Promise<{ season: string | null; version: string }>;
  /** The member and up to `radius` entries on each side, 5 by default; of the current season by default. */
  around(board: string, member: string, radius?: number, season?: string): Promise<Neighbourhood>;
  /** Those of the members that are on the board, sorted by rank. */
  ranks(board: string, members: readonly string[]): Promise<SeasonPage>;
  /** Boards with scores, by name. */
  list(query?: { limit?: number | undefined; cursor?: string | undefined }): Promise<BoardList>;
  /** Seasons with scores and the current one, the newest first. */
  seasons(board: string): Promise<{ board: string; seasons: ListedSeason[] }>;
  /** Throws `not_found` unless the season is the current one or has scores. */
  checkSeason(board: string, season: string): Promise<void>;
  /** Deletes all scores of all seasons; false if there were none in the current season. */
  removeBoard(board: string): Promise<boolean>;

  /** A member's scores on all boards, in all seasons; at most `max`. */
  scoresOf(member: string, max: number): Promise<MemberScore[]>;
  /** Removes them, and what was published of the member's ranks; returns how many scores there were. */
  removeMember(member: string): Promise<number>;

  /** Snapshots for the kind `leaderboard`. */
  readonly boardSnapshot: TakeSnapshot;
  /** Snapshots for the kind `rank`. */
  readonly rankSnapshot: TakeSnapshot;
  /** Call for each subscription that starts or ends on this node, of any kind. */
  onSubscription(change: { channel: string; isSubscribed: boolean }): void;
}

/** Max bytes of a member's data as JSON. */
const maxDataBytes = 1_024;

export function createLeaderboards(deps: LeaderboardsDeps, options: LeaderboardsOptions): Leaderboards {
  const { commands, isCluster, feed, keys, kinds, clock, log } = deps;
  const boards = createBoards(options.boards);
  const seasons = new SeasonClock(clock, deps.calendarOf);
  const storeDeps = { commands, isCluster, keys, spans: deps.spans, kinds, seasons, keysOf: createBoardKeys(keys) };
  const { idempotencyTtlSeconds = idempotencyDefaults.ttlSeconds } = options;
  const store = createBoardStore(storeDeps);
  const index = createBoardIndexStore(storeDeps, seasons);
  const onIndexed = async (board: Board, season: Season): Promise<void> => {
    await Promise.all([index.add(board, season), seasonEnds?.schedule(board)]);
  };
  const submissionStore = createSubmissionStore({ ...storeDeps, addToIndex: onIndexed }, { idempotencyTtlSeconds });
  const queue = new SubmissionQueue(submissionStore);
  const ticks = createTickStore(storeDeps);
  const ranks = createRankStore(storeDeps);
  const memberScores = createMemberScores({ boards, index, seasons, store, ranks });
  const tick = createTick({ store: ticks, seasons, notifySeason: deps.notifySeason });
  const seasonEnds: SeasonEnds | undefined =
    deps.notifySeason && createSeasonEnds({ commands, keys, boards, index, seasons, tick, clock, log });
  const notices = createBoardChangeFeed({ feed, keys });
  const ticker = new Ticker({ boards, notices, tick, ranks, clock, log }, { sweepMs: options.sweepMs ?? 500 });

  /** Undefined if no season is given. */
  async function existingSeason(board: Board, id: string | undefined): Promise<Season | undefined> {
    if (id === undefined) return undefined;
    const season = seasons.calendar(board).named(id);
    const hasScores = season !== undefined && (await index.hasSeason(board, season));
    if (hasScores || seasons.current(board).id === id) return season;
    throw new GatewayError("not_found", "season: is unknown or has no scores", { field: "season" });
  }

  async function submit(board: Board, submission: ScoreSubmission, ...once: [key?: string, ttlSeconds?: number]) {
    const { result, total } = await queue.submit(board, checked(board, submission), ...once);
    if (result === "overflow") throw overflow();
    return { board: board.name, member: submission.member, ...result, total };
  }

  async function submitMany(
    board: Board,
    submissions: readonly ScoreSubmission[],
    { withRanks = true, idempotencyKey }: SubmitManyOptions,
  ): Promise<BatchScoreResult[]> {
    const results = submissions.map((submission) => checkedOrRefused(board, submission));
    const good = results.filter((result): result is Submission => !(result instanceof GatewayError));
    if (good.length === 0) return results as GatewayError[];
    const { results: applied } = await submissionStore.submit(board, good, { withRanks, idempotencyKey });
    const inOrder = applied.values();
    return results.map((result) => {
      if (result instanceof GatewayError) return result;
      const one = inOrder.next().value as ScoreResult | "overflow";
      return one === "overflow" ? overflow() : { member: result.member, ...one };
    });
  }

  return {
    name: "leaderboards",
    start() {
      ticker.start();
      seasonEnds?.start();
    },
    async stop() {
      await seasonEnds?.stop();
      await ticker.stop();
    },

    submit: async (name, submission, ...once) => submit(boards.of(name), submission, ...once),
    submitMany: async (name, submissions, given = {}) => submitMany(boards.of(name), submissions, given),
    async submitAs(member, name, score) {
      const board = boards.of(name);
      if (!board.clientWrites) throw new GatewayError("forbidden", undefined, { field: "board" });
      return submit(board, { member, score });
    },
    remove: async (name, member) => store.remove(boards.of(name), member),
    async top(name, { start = 0, limit, season } = {}) {
      const board = boards.of(name);
      const named = await existingSeason(board, season);
      return toBoardPage(name, await store.page(board, { start, limit: limit ?? board.top }, named));
    },
    async version(name) {
      const { season, version } = await store.version(boards.of(name));
      return { season: season.id, version };
    },
    async around(name, member, radius = 5, season) {
      const board = boards.of(name);
      const { total, entries } = await store.around(board, member, radius, await existingSeason(board, season));
      return { board: name, total, entry: entries.find((entry) => entry.member === member) ?? null, entries };
    },

    ranks: async (name, members) => toBoardPage(name, await store.entries(boards.of(name), [...new Set(members)])),

    async list({ limit = 50, cursor } = {}) {
      const names = await index.boards({ limit, cursor });
      const known = names.flatMap((name) => boards.find(name) ?? []);
      const pages = await Promise.all(known.map((board) => store.page(board, { start: 0, limit: 1 })));
      const listed = pages.map(({ season, revision, total }, at) => ({
        board: (known[at] as Board).name,
        season: season.id,
        revision,
        total,
      }));
      return { boards: listed, ...(names.length === limit && { cursor: names.at(-1) as string }) };
    },

    async seasons(name) {
      const board = boards.of(name);
      const current = seasons.current(board);
      const ids = new Set([...(current.id === null ? [] : [current.id]), ...(await index.seasons(board))]);
      const listed = [...ids].flatMap((id) => toListed(seasons.calendar(board).named(id), current));
      return { board: name, seasons: listed };
    },

    async checkSeason(name, season) {
      await existingSeason(boards.of(name), season);
    },

    async removeBoard(name) {
      const board = boards.of(name);
      const past = (await index.seasons(board)).flatMap((id) => seasons.calendar(board).named(id) ?? []);
      const current = seasons.current(board).id;
      await store.removeSeasons(
        board,
        past.filter(({ id }) => id !== current),
      );
      const removed = await store.removeBoard(board);
      await index.remove(board);
      return removed || past.length > 0;
    },

    scoresOf: (member, max) => memberScores.of(member, max),
    removeMember: (member) => memberScores.remove(member),

    boardSnapshot: createBoardSnapshots({ boards, ticks, ranks, tick }),
    rankSnapshot: createRankSnapshots({ boards, ticks, ranks, tick }),
    onSubscription({ channel, isSubscribed }) {
      if (isSubscribed) ticker.subscribed(channel);
      else ticker.unsubscribed(channel);
    },
  };
}

function checked(board: Board, { member, score, mode, data }: ScoreSubmission): Submission {
  if (!Number.isFinite(score)) throw wrong("score", "must be a finite number");
  if (data !== undefined && Buffer.byteLength(data) > maxDataBytes) {
    throw new GatewayError("payload_too_large", `data: must be at most ${maxDataBytes} bytes`, { field: "data" });
  }
  return { member, score, mode: mode ?? board.mode, data };
}

function checkedOrRefused(board: Board, submission: ScoreSubmission): Submission | GatewayError {
  try {
    return checked(board, submission);
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
}

const overflow = (): GatewayError => wrong("score", "would produce a sum that cannot be stored exactly");

const toBoardPage = (board: string, { season, revision, total, entries }: Page): SeasonPage => ({
  board,
  season: season.id,
  revision,
  total,
  entries,
});

function toListed(season: Season | undefined, current: Season): ListedSeason[] {
  if (season?.id === undefined || season.id === null) return [];
  const { id, startsAt, endsAt } = season;
  return [{ season: id, startsAt, endsAt, current: id === current.id }];
}
