import type { Cancel, Clock } from "../runtime/clock.ts";

/** Milliseconds in which a lost connection may be recovered before members are told that it left. */
const graceMs = 3_000;

/** One lost connection of a user. */
interface PendingLeave {
  name: string;
  end: () => void;
  returned: () => void;
  endsAt: number;
}

/** Lost connections that may be recovered and still count as members. */
export class PendingLeaves {
  readonly #clock: Clock;
  readonly #byName = new Map<string, PendingLeave[]>();
  /** In the order in which they end; recovered ones are already missing from the map. */
  #all: PendingLeave[] = [];
  #cancel: Cancel | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `end` is called if the connection is not recovered in time, else `returned`. */
  begin(name: string, end: () => void, returned: () => void): void {
    const absence = { name, end, returned, endsAt: this.#clock.monotonic() + graceMs };
    this.#byName.set(name, [...(this.#byName.get(name) ?? []), absence]);
    this.#all.push(absence);
    this.#cancel ??= this.#clock.after(graceMs, () => this.#endDue());
  }

  /** Returns true if a connection of that name was pending. */
  cancel(name: string): boolean {
    const absence = this.#byName.get(name)?.[0];
    if (absence === undefined || !this.#forget(absence)) return false;
    absence.returned();
    return true;
  }

  /** Ends all pending leaves now. */
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

  /** Returns false if it is no longer pending. */
  #forget(absence: PendingLeave): boolean {
    const known = this.#byName.get(absence.name) ?? [];
    const left = known.filter((other) => other !== absence);
    if (left.length === 0) this.#byName.delete(absence.name);
    else this.#byName.set(absence.name, left);
    return left.length < known.length;
  }
}
