import type { Board } from "./boards.ts";
import type { MemberReading, Rank, RankStore } from "./rank-store.ts";

/** Max members read by one script. */
const readAtOnce = 500;

/**
 * Publishes the ranks of those members of one board whose rank channels have subscribers on this node. The cost is
 * bounded by their number: one script reads all of them, and only a changed rank needs another.
 */
export class RankPublisher {
  readonly #board: Board;
  readonly #store: RankStore;
  /** The last published ranks; undefined if this node has not read a member's rank yet. */
  readonly #known = new Map<string, Rank | undefined>();
  /** The board change up to which all ranks were published. */
  #publishedTimestamp: string | undefined;

  constructor(board: Board, store: RankStore) {
    this.#board = board;
    this.#store = store;
  }

  get isIdle(): boolean {
    return this.#known.size === 0;
  }

  watch(member: string): void {
    if (!this.#known.has(member)) this.#known.set(member, undefined);
  }

  unwatch(member: string): void {
    this.#known.delete(member);
  }

  /** True if a rank may differ from the published one, now that the board is at `timestamp`. */
  isBehind(timestamp: string): boolean {
    if (this.#publishedTimestamp !== timestamp) return this.#known.size > 0;
    return this.#unseen().length > 0;
  }

  /** Publishes changed ranks, except those another node published less than a tick ago; they keep `isBehind` true. */
  async publish(timestamp: string, traceparent: string): Promise<void> {
    const members = this.#publishedTimestamp === timestamp ? this.#unseen() : [...this.#known.keys()];
    for (let at = 0; at < members.length; at += readAtOnce)
      await this.#pushSome(members.slice(at, at + readAtOnce), traceparent);
    this.#publishedTimestamp = timestamp;
  }

  #unseen(): string[] {
    return [...this.#known].filter(([, rank]) => rank === undefined).map(([member]) => member);
  }

  async #pushSome(members: readonly string[], traceparent: string): Promise<void> {
    const { timestamp, total, ranks } = await this.#store.read(this.#board, members);
    const readings = members.map((member, index) => ({
      member,
      timestamp,
      total,
      traceparent,
      ...(ranks[index] as Rank),
    }));
    await Promise.all(readings.filter((reading) => this.#isNews(reading)).map((reading) => this.#pushOne(reading)));
  }

  #isNews({ member, rank, score }: Rank & { member: string }): boolean {
    const known = this.#known.get(member);
    return known?.rank !== rank || known.score !== score;
  }

  async #pushOne({ member, ...reading }: MemberReading & { member: string }): Promise<void> {
    const known = this.#known.get(member);
    const { outcome, rank, score } = await this.#store.publish(this.#board, member, reading, known);
    if (!this.#known.has(member)) return;
    this.#known.set(member, outcome === "early" ? undefined : { rank, score });
  }
}
