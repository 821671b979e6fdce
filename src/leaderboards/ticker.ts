import type { Cancel } from "../runtime/clock.ts";
import { boardChannel, parseRankChannel, type Boards } from "./boards.ts";
import type { Notices } from "./notices.ts";
import { WatchedBoard, type WatchedBoardDeps } from "./watched-board.ts";

export interface TickerDeps extends WatchedBoardDeps {
  boards: Boards;
  notices: Notices;
}

export interface TickerOptions {
  /** Pace at which every watched board is looked at, notice or not. @default 500 */
  sweepMs: number;
}

/**
 * Ticks the boards that somebody on this node watches. A board wakes by its notice the moment it changes; a slow sweep
 * finds what notices missed (pub/sub may lose them) and seasons that turn in silence, and lets go of boards that nobody
 * watches any more. Boards that nobody watches cost nothing at all.
 */
export class Ticker {
  readonly #deps: TickerDeps;
  readonly #sweepMs: number;
  readonly #watched = new Map<string, WatchedBoard>();
  /** Subscribers on this node, by channel of a board or a rank. */
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
    const closed = [...this.#watched.values()].map((watched) => watched.close());
    this.#watched.clear();
    await Promise.all(closed);
  }

  /** Somebody on this node subscribed to a channel, of any kind. Each ends with an `unsubscribed`. */
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
    this.#watched.get(subject.board)?.unwatch(channel, subject.member);
  }

  #open(name: string): WatchedBoard | undefined {
    const known = this.#watched.get(name);
    const board = this.#deps.boards.find(name);
    if (known !== undefined || board === undefined) return known;
    const watched = new WatchedBoard(board, this.#deps);
    this.#watched.set(name, watched);
    this.#cancelSweep ??= this.#deps.clock.every(this.#sweepMs, () => this.#sweep());
    this.#deps.notices.listen(name, () => watched.touch());
    return watched;
  }

  #sweep(): void {
    this.#deps.notices.retry();
    for (const [name, watched] of this.#watched) {
      if (watched.isWatched) watched.touch();
      else this.#close(name, watched);
    }
    if (this.#watched.size > 0) return;
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
  }

  #close(name: string, watched: WatchedBoard): void {
    this.#watched.delete(name);
    this.#deps.notices.unlisten(name);
    void watched.close(); // never rejects: a board's loop catches what its turns throw
  }
}

const boardPrefix = boardChannel("");

function subjectOf(channel: string): { board: string; member?: string } | undefined {
  if (channel.startsWith(boardPrefix)) return { board: channel.slice(boardPrefix.length) };
  return parseRankChannel(channel);
}
