import { GatewayError } from "../protocol/errors.ts";
import type { ScriptReply } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Board } from "./boards.ts";
import { calendarOf, type Calendar, type Season, type SeasonLength } from "./seasons.ts";

/** Tries until a season is found: two clocks may disagree once at a turn, and the turn may come between. */
const tries = 3;

/**
 * Which season a board is in. Redis' clock decides, in the script that writes; a node only proposes one, because a
 * script must be handed its keys. Where the script finds that its moment is not in that season it changes nothing and
 * names the moment, and the node proposes again. So no two nodes disagree on a season, and none writes into a past one.
 */
export class SeasonClock {
  readonly #clock: Clock;
  readonly #calendarOf: (length: SeasonLength) => Calendar;
  /** How far Redis' clock is ahead of this node's, as the last refusal told. */
  #aheadMs = 0;

  constructor(clock: Clock, calendars: (length: SeasonLength) => Calendar = calendarOf) {
    this.#clock = clock;
    this.#calendarOf = calendars;
  }

  calendar(board: Board): Calendar {
    return this.#calendarOf(board.season);
  }

  current(board: Board): Season {
    return this.calendar(board).at(this.#clock.now() + this.#aheadMs);
  }

  /** Runs a script in the season of its moment; its reply is `{ 'turned', moment }` where the proposal was wrong. */
  async within(
    board: Board,
    run: (season: Season) => Promise<ScriptReply>,
  ): Promise<{ season: Season; reply: ScriptReply[] }> {
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const season = this.current(board);
      const reply = (await run(season)) as ScriptReply[];
      if (reply[0] !== "turned") return { season, reply };
      this.#aheadMs = Number(reply[1]) - this.#clock.now();
    }
    throw new GatewayError("unavailable", "The board is changing to its next season.", { retryAfterMs: 100 });
  }
}
