import {
  applyDiff,
  type BoardDiff,
  type BoardEntry,
  type BoardPage,
  type BoardSnapshot,
  type Neighbourhood,
  type OwnRank,
  type SeasonChange,
  type SubmittedScore,
} from "../protocol/board.ts";
import type { WirePublication } from "../protocol/wire.ts";
import { Emitter, type Off } from "./emitter.ts";
import { LiveChannel, type LiveViewContext } from "./live-channel.ts";
import { type Live, type LiveEvents, type SharedView, LiveView } from "./live-view.ts";
import type { SendRequest } from "./requests.ts";
import type { Reference } from "./reference-counted.ts";

/** The signed-in user's own entry. */
export interface OwnEntry {
  member: string;
  rank: number;
  score: number;
}

export interface LeaderboardEvents<Data = unknown> extends LiveEvents {
  /** The top changed to this one. */
  change: BoardSnapshot<Data>;
  /** The own entry changed; undefined if the user is not on the board. */
  own: OwnEntry | undefined;
  /** A new season starts. A `change` that empties the board follows. */
  season: SeasonChange;
}

/**
 * A board's live top, and the user's own entry. `Data` is the type of the data stored with the scores.
 */
export interface Leaderboard<Data = unknown> extends Live<LeaderboardEvents<Data>> {
  readonly board: string;
  /** In order of rank; a new array after each change. */
  readonly entries: readonly BoardEntry<Data>[];
  /** Number of changes of the board so far. */
  readonly revision: number;
  /** Total members when the top last changed. */
  readonly total: number;
  /** Undefined if the user is not on the board, or before it is loaded. */
  readonly own: OwnEntry | undefined;
  /** Submits the user's own score, if the board accepts scores from clients. */
  submit(score: number): Promise<SubmittedScore>;
  /** The user's entry and up to `radius` members on either side. @default 5 */
  around(radius?: number): Promise<Neighbourhood<Data>>;
  /** The current entries of up to 100 members, such as the user's friends; without those who are not on the board. */
  ranks(members: readonly string[]): Promise<BoardPage<Data>>;
}

/** The state of one board, shared by its views. */
export class SharedLeaderboard implements SharedView<LeaderboardEvents> {
  readonly emitter = new Emitter<LeaderboardEvents>();
  readonly live: LiveChannel<BoardSnapshot>;
  readonly #rank: LiveChannel<OwnRank>;
  readonly #offUser: Off;
  #board: BoardSnapshot;
  #own: OwnEntry | undefined;

  constructor(name: string, context: LiveViewContext) {
    this.#board = { board: name, revision: 0, total: 0, entries: [] };
    this.live = new LiveChannel<BoardSnapshot>(
      context,
      { reset: (board) => this.#setBoard(board), apply: (publication) => this.#apply(publication) },
      this.emitter,
    );
    this.#rank = new LiveChannel<OwnRank>(context, {
      reset: (rank) => this.#setOwn(rank),
      apply: ({ event, data }) => event === "leaderboard.rank" && this.#setOwn(data as OwnRank),
    });
    this.live.open(`leaderboard:${name}`);
    this.#offUser = context.onUser((userId) => this.#rank.open(`rank:${name}:${userId}`));
  }

  get board(): BoardSnapshot {
    return this.#board;
  }

  get own(): OwnEntry | undefined {
    return this.#own;
  }

  get hasEnded(): boolean {
    return this.live.hasEnded;
  }

  end(): void {
    this.#offUser();
    this.live.end();
    this.#rank.end();
  }

  #apply({ event, data }: WirePublication): void {
    if (event === "leaderboard.season") this.emitter.emit("season", data as SeasonChange);
    if (event === "leaderboard.diff") this.#applyDiff(data as BoardDiff);
  }

  /**
   * A diff applies to the previous revision only; after a gap the snapshot is reloaded.
   */
  #applyDiff(diff: BoardDiff): void {
    if (diff.revision === this.#board.revision + 1) this.#setBoard(applyDiff(this.#board, diff));
    else this.live.reloadSnapshot();
  }

  #setBoard(board: BoardSnapshot): void {
    this.#board = board;
    this.emitter.emit("change", board);
  }

  #setOwn({ member, rank, score }: OwnRank): void {
    this.#own = rank === null || score === null ? undefined : { member, rank, score };
    this.emitter.emit("own", this.#own);
  }
}

export class LeaderboardView extends LiveView<LeaderboardEvents, SharedLeaderboard> implements Leaderboard {
  readonly board: string;
  readonly #request: SendRequest;

  constructor(reference: Reference<SharedLeaderboard>, request: SendRequest) {
    super(reference);
    this.board = this.shared.board.board;
    this.#request = request;
  }

  get entries(): readonly BoardEntry[] {
    return this.shared.board.entries;
  }

  get revision(): number {
    return this.shared.board.revision;
  }

  get total(): number {
    return this.shared.board.total;
  }

  get own(): OwnEntry | undefined {
    return this.shared.own;
  }

  submit(score: number): Promise<SubmittedScore> {
    return this.#request("leaderboard:submit", { board: this.board, score });
  }

  ranks(members: readonly string[]): Promise<BoardPage> {
    return this.#request("leaderboard:ranks", { board: this.board, members: [...members] });
  }

  around(radius?: number): Promise<Neighbourhood> {
    return this.#request("leaderboard:around", { board: this.board, ...(radius !== undefined && { radius }) });
  }
}
