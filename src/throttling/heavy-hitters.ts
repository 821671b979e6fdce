/** Subjects counted at the same time. */
const maxCounters = 32;

export interface HeavyHitter {
  limiter: string;
  subject: string;
  /** Upper bound of the subject's refusals; the lower bound is `refusals - overcount`. */
  refusals: number;
  /** Refusals that the counter had counted for earlier subjects. */
  overcount: number;
}

/**
 * The subjects refused most, in fixed memory (the space-saving algorithm): a subject without a counter takes over the
 * smallest one together with its count. A subject with more than 1/32 of all refusals is always listed.
 */
export class HeavyHitters {
  readonly #counters = new Map<string, HeavyHitter>();

  count(limiter: string, subject: string): void {
    const id = `${limiter} ${subject}`;
    const known = this.#counters.get(id);
    if (known !== undefined) known.refusals += 1;
    else this.#counters.set(id, this.#takeCounter(limiter, subject));
  }

  /** The highest counts first; resets all counters. */
  drain(max: number): HeavyHitter[] {
    const worst = [...this.#counters.values()].toSorted((a, b) => b.refusals - a.refusals).slice(0, max);
    this.#counters.clear();
    return worst;
  }

  #takeCounter(limiter: string, subject: string): HeavyHitter {
    if (this.#counters.size < maxCounters) return { limiter, subject, refusals: 1, overcount: 0 };
    let smallest: [string, HeavyHitter] | undefined;
    for (const counter of this.#counters) {
      if (smallest === undefined || counter[1].refusals < smallest[1].refusals) smallest = counter;
    }
    const [id, { refusals }] = smallest as [string, HeavyHitter];
    this.#counters.delete(id);
    return { limiter, subject, refusals: refusals + 1, overcount: refusals };
  }
}
