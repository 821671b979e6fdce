/** Relation of a number to the previous ones. `late`: it was missing. */
export type SequenceResult = "next" | "skipped" | "late" | "repeated";

/** A range of missing numbers, both ends included. */
interface Gap {
  from: number;
  to: number;
}

/** Tracks which numbers have arrived. Missing ones are kept as ranges, so an outage takes one entry. */
export class Sequence {
  readonly first: number;
  #last: number;
  #gaps: Gap[] = [];

  /** Nothing up to `before` is expected. */
  constructor(before = 0) {
    this.first = before + 1;
    this.#last = before;
  }

  /** The highest number that arrived. */
  get last(): number {
    return this.#last;
  }

  /** Count of skipped numbers that have not arrived since. */
  get missing(): number {
    return this.#gaps.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  }

  take(number: number): SequenceResult {
    if (number === this.#last + 1) {
      this.#last = number;
      return "next";
    }
    if (number > this.#last) return this.#skip(number);
    return this.#fill(number) ? "late" : "repeated";
  }

  has(number: number): boolean {
    if (number < this.first || number > this.#last) return false;
    return !this.#gaps.some(({ from, to }) => number >= from && number <= to);
  }

  /** Every number from `from` to `to` that has not arrived, in order. */
  *absent(from: number, to: number): Generator<number> {
    for (const gap of [...this.#gaps, { from: this.#last + 1, to: Infinity }]) {
      for (let number = Math.max(gap.from, from); number <= Math.min(gap.to, to); number += 1) yield number;
    }
  }

  #skip(number: number): SequenceResult {
    this.#gaps.push({ from: this.#last + 1, to: number - 1 });
    this.#last = number;
    return "skipped";
  }

  /** A late number closes its gap or splits it. Returns false if the number was not missing. */
  #fill(number: number): boolean {
    const index = this.#gaps.findIndex(({ from, to }) => number >= from && number <= to);
    const gap = this.#gaps[index];
    if (gap === undefined) return false;
    const rest = [
      { from: gap.from, to: number - 1 },
      { from: number + 1, to: gap.to },
    ];
    this.#gaps.splice(index, 1, ...rest.filter(({ from, to }) => from <= to));
    return true;
  }
}
