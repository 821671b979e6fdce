import type { SeasonChange } from "../protocol/board.ts";
import type { Board } from "./boards.ts";
import { diffJson, diffTop, isEmpty } from "./diff.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { ClaimedTick, TickStore } from "./tick-store.ts";

/** Result of a tick; `waitMs` is set if there is more to publish, and when. */
export interface TickOutcome {
  timestamp: string;
  waitMs: number | undefined;
  /** The season has changed, and it was too early to publish that. */
  isSeasonDue?: boolean;
}

/** Publishes the changes of a board since the last diff, if a tick has passed and no other node does. */
export type Tick = (board: Board, traceparent?: string) => Promise<TickOutcome>;

/** Resolves when the notification is stored. Idempotent by key. */
export type NotifySeason = (change: { key: string; board: string; data: SeasonChange }) => Promise<void>;

export interface TickDeps {
  store: TickStore;
  seasons: SeasonClock;
  notifySeason?: NotifySeason | undefined;
}

export function createTick({ store, seasons, notifySeason }: TickDeps): Tick {
  return async (board, traceparent = "") => {
    const claim = await store.claim(board);
    if (claim.outcome === "clean") return { timestamp: claim.timestamp, waitMs: undefined };
    const change = seasonChange(board, claim, seasons);
    if (claim.outcome === "early")
      return { timestamp: claim.timestamp, waitMs: claim.waitMs, isSeasonDue: change !== undefined };
    // Before it is published, so that it is reported even if this node dies in between.
    if (change !== undefined)
      await notifySeason?.({ key: JSON.stringify([change.board, change.startsAt]), board: board.name, data: change });
    const publications = { traceparent, season: change && JSON.stringify(change), diff: diffOf(board, claim) };
    const timestamp = await store.finish(board, claim, publications);
    return { timestamp: claim.timestamp, waitMs: timestamp === claim.timestamp ? undefined : board.tickMs };
  };
}

function diffOf(board: Board, { published, entries, revision, total }: ClaimedTick): string | undefined {
  const diff = diffTop(published, entries);
  return isEmpty(diff) ? undefined : diffJson(board.name, revision + 1, total, diff);
}

/** Undefined if this season was already published, or none ever was. */
function seasonChange(
  board: Board,
  { season, announced }: Pick<ClaimedTick, "season" | "announced">,
  seasons: SeasonClock,
): SeasonChange | undefined {
  if (season.id === null || announced === undefined || announced === season.startsAt) return undefined;
  return {
    board: board.name,
    season: season.id,
    previousSeason: seasons.calendar(board).at(announced).id ?? "",
    startsAt: season.startsAt,
    endsAt: season.endsAt,
  };
}
