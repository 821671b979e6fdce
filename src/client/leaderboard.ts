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
import type { RequestOf } from "../protocol/wire.ts";
import { type ChannelReducer, liveChannel, onUser } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents, Shown } from "./live-view.ts";

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
export const createLeaderboard: CreateState<Leaderboard, LeaderboardEvents> = (board, client, emit) => {
  const view: Shown<Leaderboard> & BoardSnapshot = {
    board,
    revision: 0,
    total: 0,
    entries: [],
    own: undefined,
    submit: (score) => client.request("leaderboard:submit", { board, score }),
    ranks: (members) => client.request("leaderboard:ranks", { board, members: [...members] }),
    around: (radius) => client.request("leaderboard:around", { board, radius } as RequestOf<"leaderboard:around">),
  };
  const setTop = (top: BoardSnapshot): void => {
    Object.assign(view, top);
    emit("change", top);
  };
  const setOwn = ({ member, rank, score }: OwnRank): void =>
    emit("own", (view.own = rank === null || score === null ? undefined : { member, rank, score }));
  const reducer: ChannelReducer = {
    snapshot: setTop,
    publication({ event, data }) {
      if (event === "leaderboard.season") emit("season", data as SeasonChange);
      if (event !== "leaderboard.diff") return;
      // A diff applies to the previous revision only; after a gap the snapshot is reloaded.
      const diff = data as BoardDiff;
      if (diff.revision === view.revision + 1) setTop(applyDiff(view, diff));
      else live._reload();
    },
  };
  const ownReducer: ChannelReducer = {
    snapshot: setOwn,
    publication: ({ event, data }) => event === "leaderboard.rank" && setOwn(data as OwnRank),
  };
  const live = liveChannel(client, view, reducer, emit);
  const rank = liveChannel(client, {}, ownReducer);
  live._open(`leaderboard:${board}`);
  live._cleanups.push(
    onUser(client, (userId) => rank._open(`rank:${board}:${userId}`)),
    rank._end,
  );
  return live;
};
