import type { Command } from "ioredis";

/** Milliseconds within which commands share a deadline, and by which one may be given up late. */
const grainMs = 100;

/** Commands that left at much the same time. */
interface Batch {
  /** Monotonic milliseconds at which they are given up. */
  endsAt: number;
  unanswered: Set<Command>;
}

/**
 * Gives up commands that are not answered in time. ioredis would set a timer for each, which costs as much as all else
 * about sending it; here one timer serves all, and while all is well it fires once in a timeout.
 */
export class Deadlines {
  readonly #timeoutMs: number;
  /** The one that ends first in front. */
  #batches: Batch[] = [];

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs + grainMs;
  }

  /** Where a command is to be put that leaves `now`, on `performance`'s clock, and taken out of once it is answered. */
  leaving(now: number): Set<Command> {
    const last = this.#batches.at(-1);
    const isOpen = last !== undefined && now < last.endsAt - this.#timeoutMs + grainMs;
    return (isOpen ? last : this.#begin(now)).unanswered;
  }

  #begin(now: number): Batch {
    const batch = { endsAt: now + this.#timeoutMs, unanswered: new Set<Command>() };
    if (this.#batches.push(batch) === 1) this.#wait(batch.endsAt - now);
    return batch;
  }

  #wait(delayMs: number): void {
    setTimeout(() => this.#check(performance.now()), Math.ceil(delayMs)).unref();
  }

  #check(now: number): void {
    for (const { endsAt, unanswered } of this.#batches) if (endsAt <= now) giveUp(unanswered);
    this.#batches = this.#batches.filter(({ endsAt, unanswered }) => endsAt > now && unanswered.size > 0);
    const [first] = this.#batches;
    if (first !== undefined) this.#wait(first.endsAt - now);
  }
}

function giveUp(commands: Set<Command>): void {
  for (const command of commands) command.reject(new Error("Command timed out"));
}
