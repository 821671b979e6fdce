import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import { script } from "./board-store.ts";
import type { Board } from "./boards.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Season } from "./seasons.ts";

/** Which boards have scores, and in which seasons. Entries expire with the scores, or at most two minutes later. */
export interface BoardIndexStore {
  /** Call before scores are submitted, once in a while, and after the first score of a season. */
  add(board: Board, season: Season): Promise<void>;
  /** Removes a board and its seasons. */
  remove(board: Board): Promise<void>;
  /** Names in their order, after `cursor`. */
  boards(query: { limit: number; cursor?: string | undefined }): Promise<string[]>;
  /** Ids of a board's seasons with scores, the newest first. */
  seasons(board: Board): Promise<string[]>;
  hasSeason(board: Board, season: Season): Promise<boolean>;
}

/** Seconds that an entry outlives the scores, because entries are renewed once a minute. */
const slackSeconds = 120;
/** Max seasons that are listed. */
const maxSeasons = 1_000;

export function createBoardIndexStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  seasons: SeasonClock,
): BoardIndexStore {
  const register = loadScript(commands, script("register"));
  const boardKeys = [keys.boardIndex("names"), keys.boardIndex("expiry")] as const;
  const seasonKeys = ({ name }: Board) =>
    [keys.boardSeasons(name, "names"), keys.boardSeasons(name, "expiry")] as const;

  async function isCurrent(name: string, expiryKey: string): Promise<boolean> {
    const expiresAt = await commands.zscore(expiryKey, name);
    return expiresAt !== null && Number(expiresAt) * 1_000 > seasons.now();
  }

  return {
    async add(board, season) {
      const ttl = secondsToLive(board, season, seasons.now());
      const registered = [register.run([...boardKeys], [board.name, ttl === undefined ? "" : ttl + slackSeconds])];
      if (season.id !== null) registered.push(register.run([...seasonKeys(board)], [season.id, ttl ?? ""]));
      await Promise.all(registered);
    },
    async remove(board) {
      const [names, expiry] = boardKeys;
      await Promise.all([
        commands.zrem(names, board.name),
        commands.zrem(expiry, board.name),
        commands.del(...seasonKeys(board)),
      ]);
    },
    boards: ({ limit, cursor }) =>
      commands.zrangebylex(boardKeys[0], cursor === undefined ? "-" : `(${cursor}`, "+", "LIMIT", 0, limit),
    async seasons(board) {
      const [names, expiry] = seasonKeys(board);
      const ids = await commands.zrevrangebylex(names, "+", "-", "LIMIT", 0, maxSeasons);
      const current = await Promise.all(ids.map((id) => isCurrent(id, expiry)));
      return ids.filter((_id, index) => current[index]);
    },
    hasSeason: (board, { id }) => isCurrent(id ?? "", seasonKeys(board)[1]),
  };
}

/** Seconds until scores that are submitted now expire; undefined for never. */
function secondsToLive(board: Board, season: Season, now: number): number | undefined {
  if (season.id === null) return board.ttlSeconds;
  return Math.ceil((season.endsAt - now) / 1_000) + board.archiveTtlSeconds;
}
