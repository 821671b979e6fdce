import type { TakeSnapshot } from "../channels/subscription.ts";
import type { Kinds } from "../channels/kinds.ts";
import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import { createBoardKeys } from "./board-keys.ts";
import { createBoardStore, type Page, type RankedEntry } from "./board-store.ts";
import { createBoards, type Board, type BoardSettings, type ScoreMode } from "./boards.ts";
import { createNotices } from "./notices.ts";
import { createRankStore } from "./rank-store.ts";
import { SeasonClock } from "./season-clock.ts";
import type { Calendar, Season, SeasonLength } from "./seasons.ts";
import { createBoardSnapshots, createRankSnapshots } from "./snapshots.ts";
import { SubmissionQueue } from "./submission-queue.ts";
import { createSubmissionStore, type Standing, type Submission } from "./submission-store.ts";
import { createTickStore } from "./tick-store.ts";
import { createTick } from "./tick.ts";
import { Ticker } from "./ticker.ts";

export interface LeaderboardsOptions {
  /** By board; `"*"` is the rule for any other. */
  boards: Readonly<Record<string, BoardSettings>>;
  /** Milliseconds within which a board is looked at although no notice of a change came. @default 500 */
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
  /** How time is cut into seasons. @default the calendar in UTC */
  calendarOf?: (length: SeasonLength) => Calendar;
}

/** A score on its way in. */
export interface ScoreSubmission {
  member: string;
  score: number;
  /** @default the board's */
  mode?: ScoreMode | undefined;
  /** JSON in canonical form, at most 1024 bytes; absent keeps what there is, `null` forgets it. */
  data?: string | undefined;
}

export interface SubmitManyOptions {
  /** Without ranks large batches cost less; then they are null. @default true */
  withRanks?: boolean;
  /** Of the whole batch. */
  idempotencyKey?: string | undefined;
}

/** Where it led to. */
export interface SubmittedScore extends Standing {
  board: string;
  member: string;
  total: number;
}

/** One submission of a batch: where the member stands after the hundred it was taken with, or why it was refused. */
export type BatchStanding = ({ member: string } & Standing) | GatewayError;

export interface BoardRange {
  /** Entries to skip. @default 0 */
  start?: number | undefined;
  /** @default the board's top */
  limit?: number | undefined;
  /** @default the present one */
  season?: string | undefined;
}

/** Entries in order of rank. */
export interface BoardPage {
  board: string;
  /** Null where the board has no seasons. */
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
 * Boards of scores: everybody's way to submit and read them, and what subscribers of `leaderboard:{board}` and
 * `rank:{board}:{userId}` are told. Order, ties and precision are promised in `submission-store.ts`, exactness of what is
 * told in `tick-store.ts` and `rank-store.ts`. Every call throws `not_found` for a board that is not configured.
 *
 * A repeat with the same idempotency key and content is answered as the first was and changes nothing; with other
 * content it is a `conflict`. Keys of two members, and of a single score and a batch, never meet.
 */
export interface Leaderboards extends Service {
  /** Throws `bad_request`, `payload_too_large` and `conflict`, naming the field. */
  submit(board: string, submission: ScoreSubmission, idempotencyKey?: string): Promise<SubmittedScore>;
  /** Taken in order; a wrong one fails alone. Throws `conflict`. */
  submitMany(
    board: string,
    submissions: readonly ScoreSubmission[],
    options?: SubmitManyOptions,
  ): Promise<BatchStanding[]>;
  /** A client's own score: `forbidden` where the board does not take them. */
  submitAs(userId: string, board: string, score: number): Promise<SubmittedScore>;
  /** False where the member was not on the board. */
  remove(board: string, member: string): Promise<boolean>;
  /** Throws `bad_request` for a season that is none of this board's. */
  top(board: string, range?: BoardRange): Promise<BoardPage>;
  /** The board's present season, and a text that is another after every change a page could show. */
  version(board: string): Promise<{ season: string | null; version: string }>;
  /** The member and up to `radius` on either side, 5 where left out. */
  around(board: string, member: string, radius?: number): Promise<Neighbourhood>;

  /** Snapshots for the kind `leaderboard`. */
  readonly boardSnapshot: TakeSnapshot;
  /** Snapshots for the kind `rank`. */
  readonly rankSnapshot: TakeSnapshot;
  /** To be told who subscribes on this node, to channels of any kind, and who ceases to: which boards are watched. */
  onSubscription(change: { channel: string; isSubscribed: boolean }): void;
}

/** Bytes of a member's data as JSON. */
const maxDataBytes = 1_024;

export function createLeaderboards(deps: LeaderboardsDeps, options: LeaderboardsOptions): Leaderboards {
  const { commands, isCluster, feed, keys, kinds, clock, log } = deps;
  const boards = createBoards(options.boards);
  const seasons = new SeasonClock(clock, deps.calendarOf);
  const storeDeps = { commands, isCluster, keys, kinds, seasons, keysOf: createBoardKeys(keys) };
  const { idempotencyTtlSeconds = 86_400 } = options;
  const store = createBoardStore(storeDeps);
  const submissionStore = createSubmissionStore(storeDeps, { idempotencyTtlSeconds });
  const queue = new SubmissionQueue(submissionStore);
  const ticks = createTickStore(storeDeps);
  const ranks = createRankStore(storeDeps);
  const tick = createTick({ store: ticks, seasons });
  const notices = createNotices({ feed, keys });
  const ticker = new Ticker({ boards, notices, tick, ranks, clock, log }, { sweepMs: options.sweepMs ?? 500 });

  async function submit(board: Board, submission: ScoreSubmission, key?: string): Promise<SubmittedScore> {
    const { standing, total } = await queue.submit(board, checked(board, submission), key);
    if (standing === "overflow") throw overflow();
    return { board: board.name, member: submission.member, ...standing, total };
  }

  async function submitMany(
    board: Board,
    submissions: readonly ScoreSubmission[],
    { withRanks = true, idempotencyKey }: SubmitManyOptions,
  ): Promise<BatchStanding[]> {
    const results = submissions.map((submission) => checkedOrRefused(board, submission));
    const good = results.filter((result): result is Submission => !(result instanceof GatewayError));
    if (good.length === 0) return results as GatewayError[];
    const { standings } = await submissionStore.submit(board, good, { withRanks, idempotencyKey });
    const inOrder = standings.values();
    return results.map((result) => {
      if (result instanceof GatewayError) return result;
      const standing = inOrder.next().value as Standing | "overflow";
      return standing === "overflow" ? overflow() : { member: result.member, ...standing };
    });
  }

  return {
    name: "leaderboards",
    start: () => ticker.start(),
    stop: () => ticker.stop(),

    submit: async (name, submission, idempotencyKey) => submit(boards.of(name), submission, idempotencyKey),
    submitMany: async (name, submissions, given = {}) => submitMany(boards.of(name), submissions, given),
    async submitAs(member, name, score) {
      const board = boards.of(name);
      if (!board.clientWrites) throw new GatewayError("forbidden", undefined, { field: "board" });
      return submit(board, { member, score });
    },
    remove: async (name, member) => store.remove(boards.of(name), member),
    async top(name, { start = 0, limit, season } = {}) {
      const board = boards.of(name);
      const named = namedSeason(board, season, seasons);
      return toBoardPage(name, await store.page(board, { start, limit: limit ?? board.top }, named));
    },
    async version(name) {
      const { season, version } = await store.version(boards.of(name));
      return { season: season.id, version };
    },
    async around(name, member, radius = 5) {
      const { total, entries } = await store.around(boards.of(name), member, radius);
      return { board: name, total, entry: entries.find((entry) => entry.member === member) ?? null, entries };
    },

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

const toBoardPage = (board: string, { season, revision, total, entries }: Page): BoardPage => ({
  board,
  season: season.id,
  revision,
  total,
  entries,
});

/** Undefined where no season was named. */
function namedSeason(board: Board, id: string | undefined, seasons: SeasonClock): Season | undefined {
  if (id === undefined) return undefined;
  const season = seasons.calendar(board).named(id);
  if (season === undefined) throw wrong("season", "is not a season of this board");
  return season;
}
