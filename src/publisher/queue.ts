import type { CommandType } from "../protocol/commands.ts";
import { PublisherError } from "./errors.ts";
import type { Command, Failure, Outcome, Transport } from "./transport.ts";

export interface QueueOptions {
  tries: number;
  firstPauseMs: number;
  longestPauseMs: number;
  mostWaiting: number;
  mostAtOnce: number;
  onFailure?: (error: PublisherError) => void;
}

interface Waiting {
  command: Command;
  resolve(answer: unknown): void;
  reject(error: PublisherError): void;
}

/** Commands on their way, one batch after the other. */
export class CommandQueue {
  readonly #transport: Transport<Record<CommandType, object>>;
  readonly #options: QueueOptions;
  #waiting: Waiting[] = [];
  #draining: Promise<void> | undefined;
  #isClosed = false;

  constructor(transport: Transport<Record<CommandType, object>>, options: QueueOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  add(draft: Command): Promise<unknown> {
    const command = this.#withKey(draft);
    const answer = new Promise((resolve, reject) => this.#take({ command, resolve, reject }));
    const { onFailure } = this.#options;
    if (onFailure !== undefined) answer.catch(onFailure);
    return answer;
  }

  async flush(): Promise<void> {
    await this.#draining;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.flush();
  }

  /** The key is chosen once, so that every try has the same. */
  #withKey(command: Command): Command {
    if (command.idempotencyKey !== undefined || !this.#transport.needsKey(command)) return command;
    return { ...command, idempotencyKey: crypto.randomUUID() };
  }

  #take(waiting: Waiting): void {
    if (this.#isClosed) return fail(waiting, { code: "closed", message: "The publisher is closed." }, 0);
    if (this.#waiting.length >= this.#options.mostWaiting) {
      return fail(waiting, { code: "queue_full", message: "Too many commands are waiting." }, 0);
    }
    this.#waiting.push(waiting);
    this.#draining ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Whatever else is handed in during this tick travels along.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) await this.#sendAll(this.#waiting.splice(0, this.#options.mostAtOnce));
    this.#draining = undefined;
  }

  async #sendAll(batch: readonly Waiting[]): Promise<void> {
    const { tries: mostTries, firstPauseMs, longestPauseMs } = this.#options;
    let left = batch;
    for (let tries = 1; left.length > 0; tries++) {
      const outcomes = await this.#transport.send(left.map(({ command }) => command));
      const failed = settle(left, outcomes, tries < mostTries ? undefined : tries);
      left = failed.map(({ waiting }) => waiting);
      if (left.length > 0) await pause(Math.min(firstPauseMs * 2 ** (tries - 1), longestPauseMs), failed);
    }
  }
}

/** Those behind wait for as long. */
const longestAskedMs = 60_000;

interface Failed {
  waiting: Waiting;
  failure: Failure;
}

/** Answers what is decided; the rest is to be tried again, unless this was the last try. */
function settle(batch: readonly Waiting[], outcomes: readonly Outcome[], lastTry: number | undefined): Failed[] {
  const failed: Failed[] = [];
  for (const [index, waiting] of batch.entries()) {
    const outcome = outcomes[index];
    if (outcome?.ok === true) waiting.resolve(outcome.answer);
    else if (outcome === undefined) fail(waiting, { code: "internal", message: "There was no outcome." }, lastTry ?? 1);
    else if (outcome.mayPass && lastTry === undefined) failed.push({ waiting, failure: outcome.failure });
    else fail(waiting, outcome.failure, lastTry ?? 1);
  }
  return failed;
}

const fail = (waiting: Waiting, failure: Failure, tries: number): void =>
  waiting.reject(new PublisherError(failure, waiting.command, tries));

/** With jitter, and no sooner than the gateway asked for. */
function pause(pauseMs: number, failed: readonly Failed[]): Promise<void> {
  const asked = Math.min(longestAskedMs, Math.max(0, ...failed.map(({ failure }) => failure.retryAfterMs ?? 0)));
  return new Promise((resolve) => setTimeout(resolve, Math.max(pauseMs * (0.75 + Math.random() / 2), asked)));
}
