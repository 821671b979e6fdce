import type { RedisClient } from "../redis/connections.ts";
import { createDueSet } from "../redis/queues/due-set.ts";
import { createDueWorker, type DueWorker } from "../redis/queues/due-worker.ts";
import type { Keys } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { BoardIndexStore } from "./board-index-store.ts";
import type { Board, Boards } from "./boards.ts";
import type { SeasonClock } from "./season-clock.ts";
import type { Tick } from "./tick.ts";

/** Ticks seasonal boards when a season ends, so that the change is reported even if a board has no subscribers. */
export interface SeasonEnds {
  start(): void;
  stop(): Promise<void>;
  /** Schedules the end of the current season, unless it is scheduled. */
  schedule(board: Board): Promise<void>;
}

export interface SeasonEndsDeps {
  commands: RedisClient;
  keys: Keys;
  boards: Boards;
  index: BoardIndexStore;
  seasons: SeasonClock;
  tick: Tick;
  clock: Clock;
  log: Logger;
}

/** Duration of a claim, in milliseconds. */
const leaseMs = 5_000;
/** Milliseconds after the end of a season, for the clocks. */
const delayMs = 50;

export function createSeasonEnds({
  commands,
  keys,
  boards,
  index,
  seasons,
  tick,
  clock,
  log,
}: SeasonEndsDeps): SeasonEnds {
  const dueSet = createDueSet(commands, { key: keys.dueBoards(), leaseMs });

  const untilEnd = (board: Board): number => seasons.current(board).endsAt - seasons.now() + delayMs;

  async function perform(name: string): Promise<void> {
    const board = boards.find(name);
    if (board === undefined || board.season === "none") return dueSet.drop([name]);
    const { waitMs, isSeasonDue } = await tick(board);
    if (isSeasonDue === true && waitMs !== undefined) return again(name, waitMs);
    // Boards without scores need no more reports.
    if ((await index.seasons(board)).length === 0) return dueSet.drop([name]);
    return again(name, untilEnd(board));
  }

  async function again(name: string, inMs: number): Promise<void> {
    await dueSet.plan([name], inMs, "known");
    worker.expect(inMs);
  }

  const worker: DueWorker<string> = createDueWorker({
    claim: (max) => dueSet.claim(max),
    perform,
    task: "season change",
    clock,
    log,
  });

  return {
    start: () => worker.start(),
    stop: () => worker.stop(),
    async schedule(board) {
      if (board.season === "none") return;
      await dueSet.plan([board.name], untilEnd(board), "new");
      worker.expect(untilEnd(board));
    },
  };
}
