import type { Cancel, Clock } from "../runtime/clock.ts";

/** Milliseconds in which a client that was cut off may come back before anybody is told that it left. */
const graceMs = 3_000;

/** One connection of a user that was cut off. */
interface PendingLeave {
  name: string;
  end: () => void;
  endsAt: number;
}

/** Connections that were cut off and are expected back: they count as members a little longer. */
export class PendingLeaves {
  readonly #clock: Clock;
  readonly #byName = new Map<string, PendingLeave[]>();
  /** In the order in which they end; those that came back are no longer in the table. */
  #all: PendingLeave[] = [];
  #cancel: Cancel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `end` is called where nobody is back in time. */
  begin(name: string, end: () => void): void {
    const absence = { name, end, endsAt: this.#clock.monotonic() + graceMs };
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), absence]);
    this.#all.push(absence);
    this.#cancel ??= this.#clock.after(graceMs, () => this.#endDue());
  }

  /** True where one of that name was absent, and is back. */
  cancel(name: string): boolean {
    const absence = this.#byName.get(name)?.[0];
    return absence !== undefined && this.#forget(absence);
  }

  /** Ends all of them now. */
  endAll(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    for (const absence of this.#all.splice(0)) if (this.#forget(absence)) absence.end();
  }

  #endDue(): void {
    const now = this.#clock.monotonic();
    const firstLeft = this.#all.findIndex(({ endsAt }) => endsAt > now);
    const due = this.#all.splice(0, firstLeft === -1 ? this.#all.length : firstLeft);
    for (const absence of due) if (this.#forget(absence)) absence.end();
    const [next] = this.#all;
    this.#cancel = next && this.#clock.after(next.endsAt - now, () => this.#endDue());
  }

  /** False where it is known no more. */
  #forget(absence: PendingLeave): boolean {
    const known = this.#byName.get(absence.name) ?? [];
    const left = known.filter((other) => other !== absence);
    if (left.length === 0) this.#byName.delete(absence.name);
    else this.#byName.set(absence.name, left);
    return left.length < known.length;
  }
}
