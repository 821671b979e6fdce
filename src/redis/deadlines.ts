import type { Command } from "ioredis";

/** Milliseconds within which commands share a timer, and by which one may be given up late. */
const grainMs = 100;

/**
 * Gives up commands that are not answered in time. ioredis would set a timer for each, which costs as much as all else
 * about sending it; here those that leave within a tenth of a second share one.
 */
export class Deadlines {
  readonly #timeoutMs: number;
  #leaving: Set<Command> | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Where a command is to be put that leaves now, and taken out of once it is answered. */
  get leaving(): Set<Command> {
    return (this.#leaving ??= this.#begin());
  }

  #begin(): Set<Command> {
    const commands = new Set<Command>();
    setTimeout(() => (this.#leaving = undefined), grainMs).unref();
    setTimeout(() => giveUp(commands), this.#timeoutMs + grainMs).unref();
    return commands;
  }
}

function giveUp(commands: Set<Command>): void {
  for (const command of commands) command.reject(new Error("Command timed out"));
}
