import type { BoardEntry } from "../../src/protocol/board.ts";

export interface Score {
  member: string;
  score: number;
}

export interface BoardRules {
  order: "desc" | "asc";
  mode: "best" | "last" | "increment";
}

/** The specified behaviour of a board, in memory: members with the same score are ordered by when they reached it. */
export class BoardModel {
  readonly #rules: BoardRules;
  readonly #places = new Map<string, { score: number; reachedAs: number }>();
  #reached = 0;

  constructor(rules: BoardRules) {
    this.#rules = rules;
  }

  submit({ member, score }: Score): void {
    const before = this.#places.get(member)?.score;
    const after = before === undefined ? score : this.#combined(before, score);
    if (after !== before) this.#places.set(member, { score: after, reachedAs: (this.#reached += 1) });
  }

  get entries(): BoardEntry[] {
    return [...this.#places]
      .toSorted(([, one], [, other]) => this.#lead(one.score, other.score) || one.reachedAs - other.reachedAs)
      .map(([member, { score }], index) => ({ rank: index + 1, member, score }));
  }

  #combined(before: number, score: number): number {
    if (this.#rules.mode === "increment") return before + score;
    if (this.#rules.mode === "last") return score;
    return this.#lead(before, score) <= 0 ? before : score;
  }

  /** Negative where the first leads. */
  #lead(one: number, other: number): number {
    return this.#rules.order === "desc" ? other - one : one - other;
  }
}
