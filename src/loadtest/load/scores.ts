import { applyDiff, type BoardDiff, type BoardEntry, type BoardSnapshot } from "../../protocol/board.ts";
import { BackendApi } from "../api.ts";
import { channelsOf } from "../client-plan.ts";
import type { Plan } from "../plan.ts";
import { below, seededFor } from "../random.ts";
import type { Workload } from "./workload.ts";

export const boardOf = (channel: string): string => channel.slice("leaderboard:".length);

/**
 * Scores of members that the seed selects. A score is its scheduled time in microseconds: the latest score leads, and
 * every reader of the board can compute its age.
 */
export function createScores(plan: Plan, members: number): Workload {
  const channels = channelsOf(plan);
  const random = seededFor(plan.seed, "scores");
  const apis = channels.map((_, queue) => new BackendApi(plan.addresses, plan.apiKey, queue));

  return {
    queues: channels.length,
    maxBatchSize: 1_000,
    next(dueAt) {
      const queue = below(random, channels.length);
      const body = { member: `member-${below(random, members)}`, score: Math.round(dueAt * 1_000), mode: "last" };
      return { channel: channels[queue] as string, number: undefined, dueAt, queue, body };
    },
    async send(items) {
      const [first] = items;
      if (first === undefined) return [];
      const path = `/v1/leaderboards/${encodeURIComponent(boardOf(first.channel))}/scores`;
      const answer = await (apis[first.queue] as BackendApi).post(path, {
        scores: items.map(({ body }) => body),
        ranks: false,
      });
      return items.map(() => (answer.ok ? "confirmed" : answer));
    },
    stop: () => undefined,
  };
}

/** A reader's copy of a board's top, built from snapshot and diffs. */
export class BoardCopy {
  #board: BoardSnapshot;

  constructor(snapshot: unknown) {
    this.#board = snapshot as BoardSnapshot;
  }

  /** Scheduled times of the scores that are new in the top. */
  apply(event: string, data: unknown): number[] {
    if (event !== "leaderboard.diff") return [];
    const diff = data as BoardDiff;
    const before = new Map(this.#board.entries.map(({ member, score }) => [member, score]));
    this.#board = applyDiff(this.#board, diff);
    return diff.changes.filter(({ member, score }) => before.get(member) !== score).map(({ score }) => score / 1_000);
  }

  /** Whether it equals this top. */
  equals(entries: readonly Pick<BoardEntry, "rank" | "member" | "score">[]): boolean {
    const own = this.#board.entries;
    return own.length === entries.length && own.every((entry, at) => isSame(entry, entries[at]));
  }
}

const isSame = (one: BoardEntry, other: Pick<BoardEntry, "rank" | "member" | "score"> | undefined): boolean =>
  one.rank === other?.rank && one.member === other.member && one.score === other.score;
