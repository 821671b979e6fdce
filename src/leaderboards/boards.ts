import { GatewayError } from "../protocol/errors.ts";
import type { SeasonLength } from "./seasons.ts";

/** How a new score combines with the member's current one: the better wins, the newer wins, or they are added. */
export type ScoreMode = "best" | "last" | "increment";

/** Options of a board. Stored data depends on order and season: to change them, use another board name. */
export interface BoardOptions {
  /** Whether high or low scores lead. @default "desc" */
  order: "desc" | "asc";
  /** @default "best" */
  mode: ScoreMode;
  /** Number of entries in the snapshot and its diffs, 1 to 1000. @default 10 */
  top: number;
  /** Min milliseconds between two diffs, 10 to 60000. @default 100 */
  tickMs: number;
  /** When the board starts a new season, in UTC. @default "none" */
  season: SeasonLength;
  /** Seconds a past season can be read after its end. @default 7776000 (90 days) */
  archiveTtlSeconds: number;
  /** Seconds after its last score until a board without seasons is deleted; undefined for never. @default 30 days for `"*"` */
  ttlSeconds: number | undefined;
  /** Whether clients may submit their own score. @default false */
  clientWrites: boolean;
}

/** Configured options of a board. */
export type BoardSettings = { readonly [K in keyof BoardOptions]?: BoardOptions[K] | undefined };

export interface Board extends BoardOptions {
  readonly name: string;
}

export interface Boards {
  /** Undefined if neither the board nor `"*"` is configured. */
  find(name: string): Board | undefined;
  /** Like `find`, but throws `not_found`. */
  of(name: string): Board;
}

export const boardDefaults: BoardOptions = {
  order: "desc",
  mode: "best",
  top: 10,
  tickMs: 100,
  season: "none",
  archiveTtlSeconds: 90 * 86_400,
  ttlSeconds: undefined,
  clientWrites: false,
};

/** Nobody knows these boards by name, so they must not stay for ever. */
const anyBoard: BoardSettings = { ttlSeconds: 30 * 86_400 };

export function createBoards(settings: Readonly<Record<string, BoardSettings>>): Boards {
  const rules = new Map(
    Object.entries(settings).map(([name, options]) => [
      name,
      withDefaults(name === "*" ? { ...anyBoard, ...options } : options),
    ]),
  );

  const find = (name: string): Board | undefined => {
    const options = rules.get(name) ?? rules.get("*");
    return options === undefined || name === "" ? undefined : { name, ...options };
  };
  return {
    find,
    of(name) {
      const board = find(name);
      if (board === undefined) throw new GatewayError("not_found", "board: is not configured", { field: "board" });
      return board;
    },
  };
}

function withDefaults(settings: BoardSettings): BoardOptions {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return { ...boardDefaults, ...(Object.fromEntries(given) as Partial<BoardOptions>) };
}

/** The channel with a board's top. */
export const boardChannel = (board: string): string => `leaderboard:${board}`;

/** The channel with one member's rank. */
export const rankChannel = (board: string, member: string): string => `rank:${board}:${member}`;

/** Board and member of a rank channel: the board ends at the first colon, the rest, including colons, is the member. */
export function parseRankChannel(channel: string): { board: string; member: string } | undefined {
  const [, board, member] = /^rank:([^:]+):(.+)$/s.exec(channel) ?? [];
  return board === undefined || member === undefined ? undefined : { board, member };
}
