/** Subjects counted at a time. */
const places = 32;

export interface Offender {
  limiter: string;
  subject: string;
  /** At most this many refusals; at least `refusals - overcount`. */
  refusals: number;
  /** What the place had counted for others before. */
  overcount: number;
}

/**
 * Who is refused most, in fixed memory (space-saving): a subject without a place takes over the one with the smallest
 * count and that count with it. Whoever has more than a 32nd of all refusals is in the list for certain.
 */
export class WorstOffenders {
  readonly #places = new Map<string, Offender>();

  note(limiter: string, subject: string): void {
    const id = `${limiter} ${subject}`;
    const known = this.#places.get(id);
    if (known !== undefined) known.refusals += 1;
    else this.#places.set(id, this.#takePlace(limiter, subject));
  }

  /** The worst first; counting begins anew. */
  drain(count: number): Offender[] {
    const worst = [...this.#places.values()].toSorted((a, b) => b.refusals - a.refusals).slice(0, count);
    this.#places.clear();
    return worst;
  }

  #takePlace(limiter: string, subject: string): Offender {
    if (this.#places.size < places) return { limiter, subject, refusals: 1, overcount: 0 };
    let smallest: [string, Offender] | undefined;
    for (const place of this.#places) {
      if (smallest === undefined || place[1].refusals < smallest[1].refusals) smallest = place;
    }
    const [id, { refusals }] = smallest as [string, Offender];
    this.#places.delete(id);
    return { limiter, subject, refusals: refusals + 1, overcount: refusals };
  }
}
