import type { Snapshot, TakeSnapshot } from "../channels/subscription.ts";
import type { BoardSnapshot, OwnRank } from "../protocol/board.ts";
import { GatewayError } from "../protocol/errors.ts";
import { subjectOf } from "../protocol/names.ts";
import { SingleFlight } from "../runtime/single-flight.ts";
import { parseRankChannel, type Board, type Boards } from "./boards.ts";
import { toEntries } from "./diff.ts";
import type { MemberReading, Rank, RankStore } from "./rank-store.ts";
import type { TickStore } from "./tick-store.ts";
import type { Tick } from "./tick.ts";

export interface SnapshotDeps {
  boards: Boards;
  ticks: TickStore;
  ranks: RankStore;
  tick: Tick;
}

/**
 * Snapshot of `leaderboard:{board}`. A board without subscribers may have changed since its last diff: so a tick
 * publishes first, then the published top is read together with its position. Concurrent subscribers share one read.
 */
export function createBoardSnapshots({ boards, ticks, tick }: SnapshotDeps): TakeSnapshot {
  const singleFlight = new SingleFlight<Snapshot>();

  async function take(board: Board): Promise<Snapshot> {
    await tick(board);
    const { at, revision, total, entries } = await ticks.published(board);
    const value: BoardSnapshot = { board: board.name, revision, total, entries: toEntries(entries) };
    return { value, at };
  }

  return (channel) => {
    const board = boards.of(subjectOf(channel));
    return singleFlight.run(board.name, () => take(board));
  };
}

/**
 * Snapshot of `rank:{board}:{userId}`: publishes the member's rank if it has changed, and returns it. Whoever may subscribe
 * reads it: the user, a role that the settings name, a backend.
 */
export function createRankSnapshots({ boards, ranks }: SnapshotDeps): TakeSnapshot {
  return async (channel) => {
    const subject = parseRankChannel(channel);
    if (subject === undefined) throw new GatewayError("forbidden", undefined, { field: "channel" });
    const { member } = subject;
    const board = boards.of(subject.board);
    const { timestamp, total, ranks: found } = await ranks.read(board, [member]);
    const reading: MemberReading = { timestamp, total, ...(found[0] as Rank) };
    const { at, ...known } = await ranks.publish(board, member, reading);
    const value: OwnRank = {
      board: board.name,
      member,
      rank: known.rank,
      score: known.score,
      total: known.total,
    };
    return { value, at };
  };
}
