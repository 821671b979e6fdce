import type { Keys } from "../redis/keys.ts";
import type { Season } from "./seasons.ts";

/** The keys of a board in one season; all are in the slot of the board's channel. */
export interface BoardKeys {
  state: string;
  ranking: string;
  places: string;
  data: string;
  changedFeed: string;
}

/** Max boards whose key names are cached: building them costs more than many a script. */
const maxRemembered = 1_000;

/** Key names by board and season. */
export function createBoardKeys(keys: Keys): (board: string, season: Season) => BoardKeys {
  const remembered = new Map<string, { season: string | null; names: BoardKeys }>();

  return (board, { id: season }) => {
    const known = remembered.get(board);
    if (known !== undefined && known.season === season) return known.names;
    if (remembered.size >= maxRemembered) remembered.clear();
    const names = namesOf(keys, board, season);
    remembered.set(board, { season, names });
    return names;
  };
}

function namesOf(keys: Keys, board: string, season: string | null): BoardKeys {
  return {
    state: keys.boardState(board),
    ranking: keys.boardRanking(board, season),
    places: keys.boardPlaces(board, season),
    data: keys.boardData(board, season),
    changedFeed: keys.boardTouched(board),
  };
}
