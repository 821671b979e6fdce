import {
  applyDiff,
  type BoardDiff,
  type BoardEntry,
  type BoardSnapshot,
  type Neighbourhood,
  type OwnRank,
  type SeasonChange,
  type SubmittedScore,
} from "../protocol/board.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { Emitter, type Off } from "./emitter.ts";
import { LiveChannel, type LiveSource } from "./live-channel.ts";
import { type Live, type LiveEvents, type LiveReading, LiveView } from "./live-view.ts";
import type { Request } from "./requests.ts";
import type { Taken } from "./shared.ts";

/** The signed-in user's own place, wherever on the board that is. */
export interface OwnEntry {
  member: string;
  rank: number;
  score: number;
}

export interface LeaderboardEvents<Data = unknown> extends LiveEvents {
  /** The top is another, and now this one. */
  change: BoardSnapshot<Data>;
  /** The own place is another; undefined where the user is no longer on the board. */
  own: OwnEntry | undefined;
  /** The board starts anew. A change that empties it follows. */
  season: SeasonChange;
}

/**
 * A board's top as it is at each revision, and the own place on it. `Data` is what the backend keeps beside the scores.
 */
export interface Leaderboard<Data = unknown> extends Live<LeaderboardEvents<Data>> {
  readonly board: string;
  /** In order of rank; another array after each change. */
  readonly entries: readonly BoardEntry<Data>[];
  /** Number of changes the board had so far. */
  readonly revision: number;
  /** Members on the whole board when the top last changed. */
  readonly total: number;
  /** Undefined where the user is not on the board, or not yet known to be. */
  readonly own: OwnEntry | undefined;
  /** The user's own score, where the board takes them from clients. */
  submit(score: number): Promise<SubmittedScore>;
  /** The user and up to `radius` members on either side, as they are now. @default 5 */
  around(radius?: number): Promise<Neighbourhood<Data>>;
}

/** What a client knows of one board, whoever looks at it. */
export class BoardReading implements LiveReading<LeaderboardEvents> {
  readonly emitter = new Emitter<LeaderboardEvents>();
  readonly live: LiveChannel<BoardSnapshot>;
  readonly #rank: LiveChannel<OwnRank>;
  readonly #offUser: Off;
  #board: BoardSnapshot;
  #own: OwnEntry | undefined;

  constructor(name: string, source: LiveSource) {
    this.#board = { board: name, revision: 0, total: 0, entries: [] };
    this.live = new LiveChannel<BoardSnapshot>(
      source,
      { begin: (board) => this.#show(board), follow: (publication) => this.#follow(publication) },
      this.emitter,
    );
    this.#rank = new LiveChannel<OwnRank>(source, {
      begin: (rank) => this.#place(rank),
      follow: ({ event, data }) => event === "leaderboard.rank" && this.#place(data as OwnRank),
    });
    this.live.open(`leaderboard:${name}`);
    this.#offUser = source.onUser((userId) => this.#rank.open(`rank:${name}:${userId}`));
  }

  get board(): BoardSnapshot {
    return this.#board;
  }

  get own(): OwnEntry | undefined {
    return this.#own;
  }

  get isOver(): boolean {
    return this.live.isOver;
  }

  end(): void {
    this.#offUser();
    this.live.end();
    this.#rank.end();
  }

  #follow({ event, data }: WirePublication): void {
    if (event === "leaderboard.season") this.emitter.emit("season", data as SeasonChange);
    if (event === "leaderboard.diff") this.#apply(data as BoardDiff);
  }

  /** A diff leads from one revision to the next and from no other: where one is missing, the board is taken anew. */
  #apply(diff: BoardDiff): void {
    if (diff.revision === this.#board.revision + 1) this.#show(applyDiff(this.#board, diff));
    else this.live.renew();
  }

  #show(board: BoardSnapshot): void {
    this.#board = board;
    this.emitter.emit("change", board);
  }

  #place({ member, rank, score }: OwnRank): void {
    this.#own = rank === null || score === null ? undefined : { member, rank, score };
    this.emitter.emit("own", this.#own);
  }
}

export class LeaderboardView extends LiveView<LeaderboardEvents, BoardReading> implements Leaderboard {
  readonly board: string;
  readonly #request: Request;

  constructor(taken: Taken<BoardReading>, request: Request) {
    super(taken);
    this.board = this.reading.board.board;
    this.#request = request;
  }

  get entries(): readonly BoardEntry[] {
    return this.reading.board.entries;
  }

  get revision(): number {
    return this.reading.board.revision;
  }

  get total(): number {
    return this.reading.board.total;
  }

  get own(): OwnEntry | undefined {
    return this.reading.own;
  }

  submit(score: number): Promise<SubmittedScore> {
    return this.#request("leaderboard:submit", { board: this.board, score });
  }

  around(radius?: number): Promise<Neighbourhood> {
    return this.#request("leaderboard:around", { board: this.board, ...(radius !== undefined && { radius }) });
  }
}
