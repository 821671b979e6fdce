import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Board } from "./boards.ts";
import { RankPusher } from "./rank-pusher.ts";
import type { RankStore } from "./rank-store.ts";
import type { Tick } from "./tick.ts";

export interface WatchedBoardDeps {
  tick: Tick;
  ranks: RankStore;
  clock: Clock;
  log: Logger;
}

/** Milliseconds until a board is tried again whose tick failed, for want of the store mostly. */
const againMs = 500;

/**
 * One board that somebody on this node watches: a loop that ticks while there is something to tell and sleeps while
 * there is not. It is woken by `touch`; touching it too often is harmless.
 */
export class WatchedBoard {
  readonly #board: Board;
  readonly #deps: WatchedBoardDeps;
  readonly #ranks: RankPusher;
  /** Its own and those of members' ranks that somebody here is subscribed to. */
  readonly #channels = new Set<string>();
  #plan: Cancel | undefined;
  #running: Promise<void> | undefined;
  #isTouchedAgain = false;
  #isClosed = false;
  #isFailing = false;
  /** Monotonic time before which no ranks are pushed. */
  #nextRanksAt = 0;

  constructor(board: Board, deps: WatchedBoardDeps) {
    this.#board = board;
    this.#deps = deps;
    this.#ranks = new RankPusher(board, deps.ranks);
  }

  get isWatched(): boolean {
    return this.#channels.size > 0;
  }

  /** `member` where the channel is that of a rank. */
  watch(channel: string, member?: string): void {
    this.#channels.add(channel);
    if (member !== undefined) this.#ranks.watch(member);
  }

  unwatch(channel: string, member?: string): void {
    this.#channels.delete(channel);
    if (member !== undefined) this.#ranks.unwatch(member);
  }

  /** The board may have changed. Where a tick is planned it will see; where one is running another follows. */
  touch(): void {
    if (this.#isClosed || this.#plan !== undefined) return;
    if (this.#running !== undefined) this.#isTouchedAgain = true;
    else this.#running = this.#run();
  }

  /** Resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#plan?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#isTouchedAgain = false;
    const waitMs = await this.#turn().catch((error: unknown) => this.#postpone(error));
    this.#running = undefined;
    if (this.#isClosed) return;
    if (waitMs !== undefined) this.#plan = this.#deps.clock.after(waitMs, () => this.#resume());
    else if (this.#isTouchedAgain) this.touch();
  }

  #resume(): void {
    this.#plan = undefined;
    this.touch();
  }

  /** Milliseconds until the next turn; undefined where everybody knows everything. */
  async #turn(): Promise<number | undefined> {
    const { stamp, waitMs } = await this.#deps.tick(this.#board);
    const ranksWaitMs = await this.#pushRanks(stamp);
    this.#isFailing = false;
    if (waitMs === undefined || this.#ranks.isIdle) return waitMs ?? ranksWaitMs;
    // Another node may be the one that ticks; the ranks of members watched here are this node's own to look after.
    return Math.min(waitMs, ranksWaitMs ?? this.#board.tickMs);
  }

  async #pushRanks(stamp: string): Promise<number | undefined> {
    if (this.#ranks.isBehind(stamp) && this.#untilRanks() <= 0) {
      this.#nextRanksAt = this.#deps.clock.monotonic() + this.#board.tickMs;
      await this.#ranks.push(stamp);
    }
    return this.#ranks.isBehind(stamp) ? Math.max(this.#untilRanks(), 1) : undefined;
  }

  #untilRanks(): number {
    return this.#nextRanksAt - this.#deps.clock.monotonic();
  }

  /** Said once for each time of trouble, not for each try. */
  #postpone(error: unknown): number {
    if (!this.#isFailing)
      this.#deps.log.warn({ board: this.#board.name, err: error }, "publishing leaderboard diffs failed; retrying");
    this.#isFailing = true;
    return againMs;
  }
}
