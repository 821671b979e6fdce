import { GatewayError } from "../protocol/errors.ts";
import type { ScriptReply } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Board } from "./boards.ts";
import { calendarOf, type Calendar, type Season, type SeasonLength } from "./seasons.ts";

/** Max attempts: clocks may disagree once at the end of a season, and the season may end in between. */
const maxAttempts = 3;

/**
 * Determines the season of a board. Redis time decides, in the script that writes; a node only proposes a season, because
 * a script needs its keys in advance. If the script runs outside that season, it changes nothing and returns its time, and
 * the node proposes again. So nodes never disagree on the season, and none writes into a past one.
 */
export class SeasonClock {
  readonly #clock: Clock;
  readonly #calendarOf: (length: SeasonLength) => Calendar;
  /** How far Redis time is ahead of this node's clock, from the last rejected proposal. */
  #aheadMs = 0;

  constructor(clock: Clock, calendars: (length: SeasonLength) => Calendar = calendarOf) {
    this.#clock = clock;
    this.#calendarOf = calendars;
  }

  calendar(board: Board): Calendar {
    return this.#calendarOf(board.season);
  }

  current(board: Board): Season {
    return this.calendar(board).at(this.now());
  }

  /** Redis time, as far as this node knows. */
  now(): number {
    return this.#clock.now() + this.#aheadMs;
  }

  /** Runs a script in its current season; it replies `{ 'turned', time }` if the proposed season is wrong. */
  async runInSeason(
    board: Board,
    run: (season: Season) => Promise<ScriptReply>,
  ): Promise<{ season: Season; reply: ScriptReply[] }> {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      const season = this.current(board);
      const reply = (await run(season)) as ScriptReply[];
      if (reply[0] !== "turned") return { season, reply };
      this.#aheadMs = Number(reply[1]) - this.#clock.now();
    }
    throw new GatewayError("unavailable", "The board is changing to its next season.", { retryAfterMs: 100 });
  }
}
