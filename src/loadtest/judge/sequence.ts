/** How a number fits those before it. `late`: it was missing. */
export type Fit = "next" | "skipped" | "late" | "repeated";

/** Both ends belong to it. */
interface Hole {
  from: number;
  to: number;
}

/** Which of the numbers after a beginning have come. What is missing is kept as ranges: an outage is one of them. */
export class Sequence {
  readonly first: number;
  #last: number;
  #holes: Hole[] = [];

  /** Nothing up to `before` is expected. */
  constructor(before = 0) {
    this.first = before + 1;
    this.#last = before;
  }

  /** The highest number that came. */
  get last(): number {
    return this.#last;
  }

  /** Numbers skipped that have not come since. */
  get missing(): number {
    return this.#holes.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  }

  take(number: number): Fit {
    if (number === this.#last + 1) {
      this.#last = number;
      return "next";
    }
    if (number > this.#last) return this.#skip(number);
    return this.#fill(number) ? "late" : "repeated";
  }

  has(number: number): boolean {
    if (number < this.first || number > this.#last) return false;
    return !this.#holes.some(({ from, to }) => number >= from && number <= to);
  }

  /** Every number from `from` to `to` that has not come, in order. */
  *absent(from: number, to: number): Generator<number> {
    for (const hole of [...this.#holes, { from: this.#last + 1, to: Infinity }]) {
      for (let number = Math.max(hole.from, from); number <= Math.min(hole.to, to); number += 1) yield number;
    }
  }

  #skip(number: number): Fit {
    this.#holes.push({ from: this.#last + 1, to: number - 1 });
    this.#last = number;
    return "skipped";
  }

  /** What comes late closes its hole, or splits it. False where it was not missing. */
  #fill(number: number): boolean {
    const index = this.#holes.findIndex(({ from, to }) => number >= from && number <= to);
    const hole = this.#holes[index];
    if (hole === undefined) return false;
    const rest = [
      { from: hole.from, to: number - 1 },
      { from: number + 1, to: hole.to },
    ];
    this.#holes.splice(index, 1, ...rest.filter(({ from, to }) => from <= to));
    return true;
  }
}
