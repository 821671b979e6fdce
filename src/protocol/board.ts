/**
 * A leaderboard on the wire: what a subscriber is given first, and what follows. Free of schemas, so that a browser can
 * use it; `applyDiff` is the arithmetic for everybody who holds a board.
 */

/** One member of a board. Ranks start at 1 and are unique. */
export interface BoardEntry<Data = unknown> {
  rank: number;
  member: string;
  score: number;
  /** What the backend keeps beside the score, such as a name or an avatar. */
  data?: Data;
}

/** Snapshot of `leaderboard:{board}`: its top at a revision. */
export interface BoardSnapshot<Data = unknown> {
  board: string;
  /** Number of diffs there were so far. */
  revision: number;
  /** Members on the whole board. */
  total: number;
  entries: BoardEntry<Data>[];
}

/** An entry that is new in the top or no longer as it was, whole. */
export interface BoardChange<Data = unknown> extends BoardEntry<Data> {
  /** Its rank at the revision before; null where it was not in the top. */
  previousRank: number | null;
}

/** Event `leaderboard.diff`: from the revision before to this one. */
export interface BoardDiff<Data = unknown> {
  board: string;
  revision: number;
  total: number;
  changes: BoardChange<Data>[];
  /** Members that are no longer in the top. */
  removed: string[];
}

/** Event `leaderboard.season`: the board starts anew; a diff that empties the top follows where it was not empty. */
export interface SeasonChange {
  board: string;
  season: string;
  /** Can be read as `?season=` until its archive ends. */
  previousSeason: string;
  /** Epoch milliseconds. */
  startsAt: number;
  endsAt: number;
}

/** Snapshot of `rank:{board}:{userId}`. */
export interface OwnRank {
  board: string;
  member: string;
  /** Null, as is the score, where the member is not on the board. */
  rank: number | null;
  score: number | null;
  total: number;
}

/** Event `leaderboard.rank`. */
export interface RankChange extends OwnRank {
  previousRank: number | null;
}

/** An entry as it is asked for. */
export interface RankedEntry<Data = unknown> extends BoardEntry<Data> {
  /** When the member reached this score, in epoch milliseconds. */
  updatedAt: number;
}

/** Answer of `leaderboard:top`: a page of the board as it is now, which may be ahead of its diffs. */
export interface BoardPage<Data = unknown> {
  board: string;
  revision: number;
  total: number;
  entries: RankedEntry<Data>[];
}

/** Answer of `leaderboard:around`; null and nobody where the member is not on the board. */
export interface Neighbourhood<Data = unknown> {
  board: string;
  total: number;
  entry: RankedEntry<Data> | null;
  entries: RankedEntry<Data>[];
}

/** Answer of `leaderboard:submit`: what the member holds now, and where that puts it. */
export interface SubmittedScore {
  board: string;
  member: string;
  score: number;
  rank: number;
  /** Null where it was not on the board. */
  previousRank: number | null;
}

/** The board after a diff. Snapshot and all diffs since, in order, give exactly the top at the last one's revision. */
export function applyDiff<Data>(
  before: BoardSnapshot<Data>,
  { changes, removed, ...board }: BoardDiff<Data>,
): BoardSnapshot<Data> {
  const entries = new Map(before.entries.map((entry) => [entry.member, entry]));
  for (const member of removed) entries.delete(member);
  for (const { previousRank: _before, ...entry } of changes) entries.set(entry.member, entry);
  return {
    ...board,
    // oxlint-disable-next-line unicorn/no-array-sort -- Node 18 has no `toSorted`.
    entries: [...entries.values()].sort((a, b) => a.rank - b.rank),
  };
}
