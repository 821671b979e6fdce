import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Board } from "./boards.ts";
import { RankPublisher } from "./rank-publisher.ts";
import type { RankStore } from "./rank-store.ts";
import type { Tick } from "./tick.ts";

export interface LocalBoardDeps {
  tick: Tick;
  ranks: RankStore;
  clock: Clock;
  log: Logger;
}

/** Milliseconds until a failed tick is retried. */
const retryMs = 500;

/**
 * One board that has subscribers on this node: a loop that ticks while there is something to publish and sleeps
 * otherwise. `touch` wakes it; calling it too often is harmless.
 */
export class LocalBoard {
  readonly #board: Board;
  readonly #deps: LocalBoardDeps;
  readonly #ranks: RankPublisher;
  /** The board's channel and rank channels that have subscribers here. */
  readonly #channels = new Set<string>();
  #cancelNext: Cancel | undefined;
  #running: Promise<void> | undefined;
  #isTouchedAgain = false;
  #isClosed = false;
  /** Of the first change that is not published yet, if its trace is collected. */
  #traceparent = "";
  #isFailing = false;
  /** Monotonic time before which no ranks are pushed. */
  #nextRanksAt = 0;

  constructor(board: Board, deps: LocalBoardDeps) {
    this.#board = board;
    this.#deps = deps;
    this.#ranks = new RankPublisher(board, deps.ranks);
  }

  get hasSubscribers(): boolean {
    return this.#channels.size > 0;
  }

  /** `member` is set for a rank channel. */
  watch(channel: string, member?: string): void {
    this.#channels.add(channel);
    if (member !== undefined) this.#ranks.watch(member);
  }

  unwatch(channel: string, member?: string): void {
    this.#channels.delete(channel);
    if (member !== undefined) this.#ranks.unwatch(member);
  }

  /** The board may have changed. A scheduled tick will find out; after a running one, another follows. */
  touch(traceparent = ""): void {
    if (this.#traceparent === "") this.#traceparent = traceparent;
    if (this.#isClosed || this.#cancelNext !== undefined) return;
    if (this.#running !== undefined) this.#isTouchedAgain = true;
    else this.#running = this.#run();
  }

  /** Resolves when nothing is running. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelNext?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    this.#isTouchedAgain = false;
    const waitMs = await this.#tick().catch((error: unknown) => this.#postpone(error));
    this.#running = undefined;
    if (this.#isClosed) return;
    if (waitMs !== undefined) this.#cancelNext = this.#deps.clock.after(waitMs, () => this.#resume());
    else if (this.#isTouchedAgain) this.touch();
  }

  #resume(): void {
    this.#cancelNext = undefined;
    this.touch();
  }

  /** Milliseconds until the next tick; undefined if everything is published. */
  async #tick(): Promise<number | undefined> {
    const traceparent = this.#traceparent;
    const { timestamp, waitMs } = await this.#deps.tick(this.#board, traceparent);
    const ranksWaitMs = await this.#pushRanks(timestamp, traceparent);
    this.#isFailing = false;
    if (waitMs === undefined && ranksWaitMs === undefined && this.#traceparent === traceparent) this.#traceparent = "";
    if (waitMs === undefined || this.#ranks.isIdle) return waitMs ?? ranksWaitMs;
    // Another node may tick; but this node publishes the ranks of members that have subscribers here.
    return Math.min(waitMs, ranksWaitMs ?? this.#board.tickMs);
  }

  async #pushRanks(timestamp: string, traceparent: string): Promise<number | undefined> {
    if (this.#ranks.isBehind(timestamp) && this.#untilRanks() <= 0) {
      this.#nextRanksAt = this.#deps.clock.monotonic() + this.#board.tickMs;
      await this.#ranks.publish(timestamp, traceparent);
    }
    return this.#ranks.isBehind(timestamp) ? Math.max(this.#untilRanks(), 1) : undefined;
  }

  #untilRanks(): number {
    return this.#nextRanksAt - this.#deps.clock.monotonic();
  }

  /** Logged once per outage, not per attempt. */
  #postpone(error: unknown): number {
    if (!this.#isFailing)
      this.#deps.log.warn({ board: this.#board.name, err: error }, "publishing leaderboard diffs failed; retrying");
    this.#isFailing = true;
    return retryMs;
  }
}
