import type { BoardIndexStore } from "./board-index-store.ts";
import type { BoardStore, RankedEntry } from "./board-store.ts";
import type { Board, Boards } from "./boards.ts";
import type { RankStore } from "./rank-store.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Season } from "./seasons.ts";

/** A member's score in one season of a board. */
export interface MemberScore extends RankedEntry {
  board: string;
  season: string | null;
}

/** The scores of one member on all boards and in all seasons, for everything kept of a user. */
export interface MemberScores {
  /** At most `max`. */
  of(member: string, max: number): Promise<MemberScore[]>;
  /** Removes all of them; returns how many there were. */
  remove(member: string): Promise<number>;
}

export interface MemberScoresDeps {
  boards: Boards;
  index: BoardIndexStore;
  seasons: SeasonClock;
  store: BoardStore;
  ranks: Pick<RankStore, "forget">;
}

/** Boards that are examined at the same time. */
const boardsAtOnce = 100;

export function createMemberScores({ boards, index, seasons, store, ranks }: MemberScoresDeps): MemberScores {
  /** Boards with scores, by page. */
  async function* pages(): AsyncGenerator<Board[]> {
    let cursor: string | undefined;
    do {
      const names = await index.boards({ limit: boardsAtOnce, cursor });
      yield names.flatMap((name) => boards.find(name) ?? []);
      cursor = names.length === boardsAtOnce ? names.at(-1) : undefined;
    } while (cursor !== undefined);
  }

  async function pastSeasons(board: Board): Promise<Season[]> {
    const current = seasons.current(board).id;
    const ids = (await index.seasons(board)).filter((id) => id !== current);
    return ids.flatMap((id) => seasons.calendar(board).named(id) ?? []);
  }

  async function scoresOn(board: Board, member: string): Promise<MemberScore[]> {
    const past = await pastSeasons(board);
    const found = await Promise.all([undefined, ...past].map((season) => store.around(board, member, 0, season)));
    return found.flatMap(({ season, entries }) =>
      entries.map((entry) => ({ board: board.name, season: season.id, ...entry })),
    );
  }

  async function removeFrom(board: Board, member: string): Promise<number> {
    const past = await pastSeasons(board);
    const removed = await Promise.all([
      store.remove(board, member),
      ...past.map((season) => store.removeFromSeason(board, season, member)),
    ]);
    await ranks.forget(board, member);
    return removed.filter(Boolean).length;
  }

  return {
    async of(member, max) {
      const scores: MemberScore[] = [];
      for await (const page of pages()) {
        scores.push(...(await Promise.all(page.map((board) => scoresOn(board, member)))).flat());
        if (scores.length >= max) break;
      }
      return scores.slice(0, max);
    },

    async remove(member) {
      let removed = 0;
      for await (const page of pages()) {
        const counts = await Promise.all(page.map((board) => removeFrom(board, member)));
        removed += counts.reduce((sum, count) => sum + count, 0);
      }
      return removed;
    },
  };
}
