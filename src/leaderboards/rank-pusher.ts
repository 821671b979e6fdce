import type { Board } from "./boards.ts";
import type { MemberReading, Rank, RankStore } from "./rank-store.ts";

/** Members read by one script. */
const readAtOnce = 500;

/**
 * Tells the members of one board that somebody watches on this node where they stand. Its cost is bounded by their
 * number: one script reads all of them, and only who stands otherwise than before costs another.
 */
export class RankPusher {
  readonly #board: Board;
  readonly #store: RankStore;
  /** What subscribers here know; undefined where this node has not looked yet. */
  readonly #known = new Map<string, Rank | undefined>();
  /** The change of the board up to which everybody was told. */
  #toldStamp: string | undefined;

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

  /** True where somebody may stand otherwise than told, now that the board is at `stamp`. */
  isBehind(stamp: string): boolean {
    if (this.#toldStamp !== stamp) return this.#known.size > 0;
    return this.#unseen().length > 0;
  }

  /** Everybody is told, except who was told by another node less than a tick ago: they keep `isBehind` true. */
  async push(stamp: string): Promise<void> {
    const members = this.#toldStamp === stamp ? this.#unseen() : [...this.#known.keys()];
    for (let at = 0; at < members.length; at += readAtOnce) await this.#pushSome(members.slice(at, at + readAtOnce));
    this.#toldStamp = stamp;
  }

  #unseen(): string[] {
    return [...this.#known].filter(([, rank]) => rank === undefined).map(([member]) => member);
  }

  async #pushSome(members: readonly string[]): Promise<void> {
    const { stamp, total, ranks } = await this.#store.read(this.#board, members);
    const readings = members.map((member, index) => ({ member, stamp, total, ...(ranks[index] as Rank) }));
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
