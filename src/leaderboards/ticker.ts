import type { Cancel } from "../runtime/clock.ts";
import { boardChannel, parseRankChannel, type Boards } from "./boards.ts";
import type { Notices } from "./notices.ts";
import { WatchedBoard, type WatchedBoardDeps } from "./watched-board.ts";

export interface TickerDeps extends WatchedBoardDeps {
  boards: Boards;
  notices: Notices;
  /** Channels of a kind with subscribers on this node. */
  watched: (kind: string) => Iterable<string>;
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
  /** Channels whose subscribers came since the last sweep: they may not count as subscribed yet. */
  #newcomers = new Set<string>();
  #cancelSweep: Cancel | undefined;
  #isStopped = false;

  constructor(deps: TickerDeps, { sweepMs }: TickerOptions) {
    this.#deps = deps;
    this.#sweepMs = sweepMs;
  }

  start(): void {
    this.#deps.notices.onRestored(() => this.#sweep());
    this.#cancelSweep = this.#deps.clock.every(this.#sweepMs, () => this.#sweep());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelSweep?.();
    const closed = [...this.#watched.values()].map((watched) => watched.close());
    this.#watched.clear();
    await Promise.all(closed);
  }

  /** Somebody on this node subscribes to a channel of any kind. */
  watch(channel: string): void {
    const subject = subjectOf(channel);
    if (subject === undefined || this.#isStopped) return;
    this.#newcomers.add(channel);
    const watched = this.#open(subject.board);
    if (subject.member !== undefined) watched?.ranks.watch(subject.member);
    watched?.touch();
  }

  #open(name: string): WatchedBoard | undefined {
    const known = this.#watched.get(name);
    const board = this.#deps.boards.find(name);
    if (known !== undefined || board === undefined) return known;
    const watched = new WatchedBoard(board, this.#deps);
    this.#watched.set(name, watched);
    this.#deps.notices.listen(name, () => watched.touch());
    return watched;
  }

  #sweep(): void {
    if (this.#isStopped) return;
    const members = this.#wanted();
    for (const [name, watched] of this.#watched) {
      const wanted = members.get(name);
      if (wanted === undefined) this.#close(name, watched);
      else watched.ranks.keepOnly(wanted);
    }
    for (const [name, wanted] of members) {
      const watched = this.#open(name);
      for (const member of wanted) watched?.ranks.watch(member);
      watched?.touch();
    }
  }

  /** The boards that are watched here, each with the members whose rank is. */
  #wanted(): Map<string, Set<string>> {
    const wanted = new Map<string, Set<string>>();
    const newcomers = this.#newcomers;
    this.#newcomers = new Set();
    for (const channel of [...this.#deps.watched("leaderboard"), ...this.#deps.watched("rank"), ...newcomers]) {
      const { board, member } = subjectOf(channel) ?? {};
      if (board === undefined) continue;
      const members = wanted.get(board) ?? new Set();
      wanted.set(board, members);
      if (member !== undefined) members.add(member);
    }
    return wanted;
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
