import type { Command } from "ioredis";

/** Commands sent within so many milliseconds share a deadline; a timeout may be late by as much. */
const resolutionMs = 100;

/** Commands sent at about the same time. */
interface Batch {
  /** Monotonic milliseconds at which they time out. */
  endsAt: number;
  unanswered: Set<Command>;
}

/**
 * Times out commands without a reply. ioredis would set a timer for each, which costs as much as sending it; here one
 * timer serves all, and normally fires once per timeout.
 */
export class Deadlines {
  readonly #timeoutMs: number;
  /** Ordered by deadline. */
  #batches: Batch[] = [];

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs + resolutionMs;
  }

  /** The set to which a command sent `now` (`performance`'s clock) is added, and from which it is removed on reply. */
  batchAt(now: number): Set<Command> {
    const last = this.#batches.at(-1);
    const isOpen = last !== undefined && now < last.endsAt - this.#timeoutMs + resolutionMs;
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
    for (const { endsAt, unanswered } of this.#batches) if (endsAt <= now) timeOut(unanswered);
    this.#batches = this.#batches.filter(({ endsAt, unanswered }) => endsAt > now && unanswered.size > 0);
    const [first] = this.#batches;
    if (first !== undefined) this.#wait(first.endsAt - now);
  }
}

function timeOut(commands: Set<Command>): void {
  for (const command of commands) command.reject(new Error("Command timed out"));
}
