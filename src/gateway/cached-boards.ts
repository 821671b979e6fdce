import type { Cache } from "../cache/cache.ts";
import type { Config } from "../config.ts";
import { createBoards } from "../leaderboards/boards.ts";
import type { SeasonPage, BoardRange, Leaderboards } from "../leaderboards/leaderboards.ts";

/** Smaller pages are cheaper to read than to look up; see `bench/results/cache.md`. */
const minCachedEntries = 50;
/** Max pages whose last version is remembered. */
const maxSeenPages = 1_000;

const present = { ttlMs: 10_000 };
const past = { ttlMs: 60_000, staleMs: 600_000 };

/**
 * Caches large pages of leaderboards. A page is stored under the version of its board, which is read from Redis each
 * time, so no page is older than that read. It is stored on the second read of a version, so a board that changes
 * faster than it is read costs nothing extra. Pages of past seasons, which no longer change, are cached by time.
 */
export function withCachedPages(
  leaderboards: Leaderboards,
  cache: Cache,
  settings: Config["leaderboards"],
): Leaderboards {
  const boards = createBoards(settings);
  const seen = new Map<string, string>();

  function isSecondRead(page: string, version: string): boolean {
    const isKnown = seen.get(page) === version;
    if (seen.size >= maxSeenPages) seen.clear();
    seen.set(page, version);
    return isKnown;
  }

  async function top(name: string, range: BoardRange = {}): Promise<SeasonPage> {
    const { start = 0, limit = boards.of(name).top } = range;
    if (limit < minCachedEntries) return leaderboards.top(name, range);
    const { season, version } = await leaderboards.version(name);
    const load = (): Promise<SeasonPage> => leaderboards.top(name, range);
    if (isPast(range.season, season)) {
      await leaderboards.checkSeason(name, range.season as string);
      return cache.read(["boards", name, `${range.season} ${start}-${limit}`], load, past);
    }
    const page = JSON.stringify([name, range.season ?? season, start, limit]);
    if (!isSecondRead(page, version)) return load();
    return cache.read(["boards", name, `${season} ${version} ${start}-${limit}`], load, present);
  }

  return { ...leaderboards, top };
}

/** Season names of one board sort chronologically. */
const isPast = (named: string | undefined, present: string | null): boolean =>
  named !== undefined && present !== null && named < present;
