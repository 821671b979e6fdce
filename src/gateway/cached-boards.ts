import type { Cache } from "../cache/cache.ts";
import type { Config } from "../config.ts";
import { createBoards } from "../leaderboards/boards.ts";
import type { BoardPage, BoardRange, Leaderboards } from "../leaderboards/leaderboards.ts";

/** Pages smaller than this cost less to read than to look for; `bench/results/cache.md` has the figures. */
const worthKeeping = 50;
/** Pages whose last version is remembered. */
const mostSeen = 1_000;

const present = { ttlMs: 10_000 };
const past = { ttlMs: 60_000, staleMs: 600_000 };

/**
 * The same boards, with large pages kept in the cache. A page is kept under the version of its board, which Redis is
 * asked for each time, so none is ever older than its answer to that; it is kept when it is asked for a second time in
 * one version, so a board that changes faster than it is read costs nothing on top. Of past seasons, which nobody writes
 * into, pages are kept by time.
 */
export function withCachedPages(
  leaderboards: Leaderboards,
  cache: Cache,
  settings: Config["leaderboards"],
): Leaderboards {
  const boards = createBoards(settings);
  const seen = new Map<string, string>();

  function isSecond(page: string, version: string): boolean {
    const isKnown = seen.get(page) === version;
    if (seen.size >= mostSeen) seen.clear();
    seen.set(page, version);
    return isKnown;
  }

  async function top(name: string, range: BoardRange = {}): Promise<BoardPage> {
    const { start = 0, limit = boards.of(name).top } = range;
    if (limit < worthKeeping) return leaderboards.top(name, range);
    const { season, version } = await leaderboards.version(name);
    const load = (): Promise<BoardPage> => leaderboards.top(name, range);
    if (isPast(range.season, season))
      return cache.read(["boards", name, `${range.season} ${start}-${limit}`], load, past);
    const page = JSON.stringify([name, range.season ?? season, start, limit]);
    if (!isSecond(page, version)) return load();
    return cache.read(["boards", name, `${season} ${version} ${start}-${limit}`], load, present);
  }

  return { ...leaderboards, top };
}

/** Names of one board's seasons sort as they follow each other. */
const isPast = (named: string | undefined, present: string | null): boolean =>
  named !== undefined && present !== null && named < present;
