/** What was forgotten lately, so that a value which was being loaded meanwhile is not kept: it may be older than that. */
export class Forgotten {
  readonly #notes: { number: number; tag: string }[] = [];
  #last = 0;

  /** Now. */
  mark(): number {
    return this.#last;
  }

  note(tag: string): void {
    this.#last += 1;
    this.#notes.push({ number: this.#last, tag });
    if (this.#notes.length > 2 * mostNotes) this.#notes.splice(0, mostNotes);
  }

  /** Anything may have been: messages were lost. */
  noteAll(): void {
    this.#last += 2 * mostNotes;
    this.#notes.length = 0;
  }

  /** Whether one of the tags was forgotten since; true where that is no longer known. */
  isSince(mark: number, tags: readonly string[]): boolean {
    const known = this.#notes[0]?.number ?? this.#last + 1;
    if (mark + 1 < known) return mark < this.#last;
    return this.#notes.some(({ number, tag }) => number > mark && tags.includes(tag));
  }
}

const mostNotes = 1_000;
