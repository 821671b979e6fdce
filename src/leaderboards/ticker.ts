import type { Cancel } from "../runtime/clock.ts";
import { boardChannel, parseRankChannel, type Boards } from "./boards.ts";
import type { BoardChangeFeed } from "./board-change-feed.ts";
import { LocalBoard, type LocalBoardDeps } from "./local-board.ts";

export interface TickerDeps extends LocalBoardDeps {
  boards: Boards;
  notices: BoardChangeFeed;
}

export interface TickerOptions {
  /** Interval at which every board with subscribers is checked, in milliseconds. @default 500 */
  sweepMs: number;
}

/**
 * Ticks the boards that have subscribers on this node. A change notification wakes a board immediately; a slow sweep
 * finds changes whose notification was lost and seasons that end without a change, and drops boards without
 * subscribers. Boards without subscribers cost nothing.
 */
export class Ticker {
  readonly #deps: TickerDeps;
  readonly #sweepMs: number;
  readonly #boards = new Map<string, LocalBoard>();
  /** Number of subscribers on this node, by channel of a board or a rank. */
  readonly #subscribers = new Map<string, number>();
  #cancelSweep: Cancel | undefined;
  #isStopped = false;

  constructor(deps: TickerDeps, { sweepMs }: TickerOptions) {
    this.#deps = deps;
    this.#sweepMs = sweepMs;
  }

  start(): void {
    this.#deps.notices.onRestored(() => this.#sweep());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelSweep?.();
    const closed = [...this.#boards.values()].map((watched) => watched.close());
    this.#boards.clear();
    await Promise.all(closed);
  }

  /** A subscription to a channel of any kind started on this node; each ends with `unsubscribed`. */
  subscribed(channel: string): void {
    const subject = subjectOf(channel);
    if (subject === undefined || this.#isStopped) return;
    this.#subscribers.set(channel, (this.#subscribers.get(channel) ?? 0) + 1);
    const watched = this.#open(subject.board);
    watched?.watch(channel, subject.member);
    watched?.touch();
  }

  unsubscribed(channel: string): void {
    const left = (this.#subscribers.get(channel) ?? 0) - 1;
    if (left > 0) return void this.#subscribers.set(channel, left);
    const subject = subjectOf(channel);
    if (!this.#subscribers.delete(channel) || subject === undefined) return;
    this.#boards.get(subject.board)?.unwatch(channel, subject.member);
  }

  #open(name: string): LocalBoard | undefined {
    const known = this.#boards.get(name);
    const board = this.#deps.boards.find(name);
    if (known !== undefined || board === undefined) return known;
    const watched = new LocalBoard(board, this.#deps);
    this.#boards.set(name, watched);
    this.#cancelSweep ??= this.#deps.clock.every(this.#sweepMs, () => this.#sweep());
    this.#deps.notices.listen(name, (traceparent) => watched.touch(traceparent));
    return watched;
  }

  #sweep(): void {
    this.#deps.notices.retry();
    for (const [name, watched] of this.#boards) {
      if (watched.hasSubscribers) watched.touch();
      else this.#close(name, watched);
    }
    if (this.#boards.size > 0) return;
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #close(name: string, watched: LocalBoard): void {
    this.#boards.delete(name);
    this.#deps.notices.unlisten(name);
    void watched.close(); // never rejects: a board's loop catches errors
  }
}

const boardPrefix = boardChannel("");

function subjectOf(channel: string): { board: string; member?: string } | undefined {
  if (channel.startsWith(boardPrefix)) return { board: channel.slice(boardPrefix.length) };
  return parseRankChannel(channel);
}
