import type { Snapshot, TakeSnapshot } from "../channels/subscription.ts";
import type { BoardSnapshot, OwnRank } from "../protocol/board.ts";
import { GatewayError } from "../protocol/errors.ts";
import { subjectOf } from "../protocol/names.ts";
import { parseRankChannel, type Board, type Boards } from "./boards.ts";
import { toEntries } from "./diff.ts";
import type { MemberReading, Rank, RankStore } from "./rank-store.ts";
import { SharedRuns } from "./shared-runs.ts";
import type { TickStore } from "./tick-store.ts";
import type { Tick } from "./tick.ts";

export interface SnapshotDeps {
  boards: Boards;
  ticks: TickStore;
  ranks: RankStore;
  tick: Tick;
}

/**
 * Snapshot of `leaderboard:{board}`. A board that nobody watched may have changed since its last diff: a tick tells
 * first, then what subscribers know is read together with its position. A thousand who come at once share one reading.
 */
export function createBoardSnapshots({ boards, ticks, tick }: SnapshotDeps): TakeSnapshot {
  const shared = new SharedRuns<Snapshot>();

  async function take(board: Board): Promise<Snapshot> {
    await tick(board);
    const { at, revision, total, entries } = await ticks.published(board);
    const value: BoardSnapshot = { board: board.name, revision, total, entries: toEntries(entries) };
    return { value, at };
  }

  return (channel) => {
    const board = boards.of(subjectOf(channel));
    return shared.run(board.name, () => take(board));
  };
}

/** Snapshot of `rank:{board}:{userId}`: a member's rank is published where its subscribers do not know it, then read. */
export function createRankSnapshots({ boards, ranks }: SnapshotDeps): TakeSnapshot {
  return async (channel, userId) => {
    const subject = parseRankChannel(channel);
    if (subject?.member !== userId) throw new GatewayError("forbidden", undefined, { field: "channel" });
    const board = boards.of(subject.board);
    const { stamp, total, ranks: found } = await ranks.read(board, [userId]);
    const reading: MemberReading = { stamp, total, ...(found[0] as Rank) };
    const { at, ...known } = await ranks.publish(board, userId, reading);
    const value: OwnRank = {
      board: board.name,
      member: userId,
      rank: known.rank,
      score: known.score,
      total: known.total,
    };
    return { value, at };
  };
}
