import type { SeasonChange } from "../protocol/board.ts";
import type { Board } from "./boards.ts";
import { diffJson, diffTop, isEmpty } from "./diff.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { ClaimedTick, TickStore } from "./tick-store.ts";

/** Where a board stands after a tick; `waitMs` where there is more to tell, and when. */
export interface TickOutcome {
  stamp: string;
  waitMs: number | undefined;
}

/** Tells subscribers of a board what changed since they were told last, where it is time to and nobody else does. */
export type Tick = (board: Board) => Promise<TickOutcome>;

export function createTick({ store, seasons }: { store: TickStore; seasons: SeasonClock }): Tick {
  return async (board) => {
    const claim = await store.claim(board);
    if (claim.outcome === "clean") return { stamp: claim.stamp, waitMs: undefined };
    if (claim.outcome === "early") return { stamp: claim.stamp, waitMs: claim.waitMs };
    const told = { season: turnOf(board, claim, seasons), diff: diffOf(board, claim) };
    const stamp = await store.finish(board, claim, told);
    return { stamp: claim.stamp, waitMs: stamp === claim.stamp ? undefined : board.tickMs };
  };
}

function diffOf(board: Board, { published, entries, revision, total }: ClaimedTick): string | undefined {
  const diff = diffTop(published, entries);
  return isEmpty(diff) ? undefined : diffJson(board.name, revision + 1, total, diff);
}

/** Undefined where subscribers are in this season already, or never were in one. */
function turnOf(board: Board, { season, announced }: ClaimedTick, seasons: SeasonClock): string | undefined {
  if (season.id === null || announced === undefined || announced === season.startsAt) return undefined;
  const turn: SeasonChange = {
    board: board.name,
    season: season.id,
    previousSeason: seasons.calendar(board).at(announced).id ?? "",
    startsAt: season.startsAt,
    endsAt: season.endsAt,
  };
  return JSON.stringify(turn);
}
