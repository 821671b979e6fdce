import { randomUUID } from "node:crypto";
import type { CommandType } from "../protocol/commands.ts";
import { PublisherError } from "./errors.ts";
import { jitter, retryDelayMs, type RetryDelays } from "./retries.ts";
import { subjectOfCommand } from "../protocol/command-subject.ts";
import { encodeCommand, type EncodedCommand } from "./subject.ts";
import type { Command, CommandFailure, CommandResult, Transport } from "./transport.ts";

export interface CommandQueueOptions extends RetryDelays {
  maxAttempts: number;
  maxQueued: number;
  maxBatchSize: number;
  onFailure(error: PublisherError): void;
}

interface QueuedCommand {
  readonly command: Command;
  attempts: number;
  resolve(answer: unknown): void;
  reject(error: PublisherError): void;
}

/** Commands of one subject, in order. While some are being sent or wait for a retry, the others wait. */
interface PendingCommands {
  readonly subject: string;
  queued: QueuedCommand[];
}

/** Max concurrent sends: one that hangs delays only its own subjects. */
const maxSends = 4;

/** Queues commands by subject and sends them in batches with the commands of many subjects. */
export class CommandQueue {
  readonly #transport: Transport<Record<CommandType, object>>;
  readonly #options: CommandQueueOptions;
  readonly #queues = new Map<string, PendingCommands>();
  /** Queues with commands that may be sent now. */
  readonly #ready = new Set<PendingCommands>();
  readonly #unsettled = new Set<Promise<unknown>>();
  #queuedCount = 0;
  #sends = 0;
  #isScheduled = false;
  #isClosed = false;

  constructor(transport: Transport<Record<CommandType, object>>, options: CommandQueueOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  add(draft: Command): Promise<unknown> {
    const answer = new Promise((resolve, reject) => this.#enqueue({ command: draft, attempts: 0, resolve, reject }));
    this.#unsettled.add(answer);
    const settled = (): void => void this.#unsettled.delete(answer);
    answer.then(settled, settled);
    // Also marks the promise as handled: a failure that nobody waits for is no unhandled rejection.
    answer.catch(this.#options.onFailure);
    return answer;
  }

  async flush(): Promise<void> {
    await Promise.allSettled(this.#unsettled);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.flush();
  }

  #enqueue(draft: QueuedCommand): void {
    const { command, problem } = this.#encode(draft.command);
    if (problem !== undefined) return fail(draft, problem);
    const queued = { ...draft, command: this.#withKey(command) };
    this.#queuedCount += 1;
    const queue = this.#queueOf(subjectOfCommand(queued.command));
    queue.queued.push(queued);
  }

  #encode(command: Command): EncodedCommand {
    if (this.#isClosed) return { problem: { code: "closed", message: "The publisher is closed." } };
    if (this.#queuedCount >= this.#options.maxQueued)
      return { problem: { code: "queue_full", message: "Too many commands are waiting." } };
    return encodeCommand(command);
  }

  /** The key is chosen once, so that every attempt has the same. Keeping one would cost more than an ephemeral publication. */
  #withKey(command: Command): Command {
    const isEphemeral = command.type === "publish" && command.ephemeral === true;
    if (command.idempotencyKey !== undefined || isEphemeral || !this.#transport.needsKey(command)) return command;
    return { ...command, idempotencyKey: randomUUID() };
  }

  #queueOf(subject: string): PendingCommands {
    const known = this.#queues.get(subject);
    if (known !== undefined) return known;
    const queue: PendingCommands = { subject, queued: [] };
    this.#queues.set(subject, queue);
    this.#markReady([queue]);
    return queue;
  }

  #markReady(queues: Iterable<PendingCommands>): void {
    for (const queue of queues) this.#ready.add(queue);
    this.#schedule();
  }

  /** Sends at the end of the tick, with the other commands of the tick. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      while (this.#ready.size > 0 && this.#sends < maxSends) void this.#send(this.#takeBatch());
    });
  }

  /** Takes up to `maxBatchSize` commands of ready queues. */
  #takeBatch(): Map<PendingCommands, QueuedCommand[]> {
    const batch = new Map<PendingCommands, QueuedCommand[]>();
    let room = this.#options.maxBatchSize;
    for (const queue of this.#ready) {
      if (room === 0) break;
      const taken = queue.queued.splice(0, room);
      room -= taken.length;
      this.#queuedCount -= taken.length;
      batch.set(queue, taken);
      this.#ready.delete(queue);
    }
    return batch;
  }

  async #send(batch: Map<PendingCommands, QueuedCommand[]>): Promise<void> {
    this.#sends += 1;
    const all = [...batch.values()].flat();
    const results = await this.#sendBatch(all.map(({ command }) => command));
    this.#sends -= 1;
    const failed = settle(all, results, this.#options.maxAttempts);
    this.#requeue(batch, failed);
    this.#schedule();
  }

  /** If a transport throws, only the commands of this batch fail. */
  async #sendBatch(commands: readonly Command[]): Promise<readonly CommandResult[]> {
    try {
      const results: unknown = await this.#transport.send(commands);
      if (Array.isArray(results)) return results as CommandResult[];
      throw new Error("it returned no results");
    } catch (error) {
      const failure: CommandFailure = { code: "internal", message: `The transport failed: ${String(error)}` };
      return commands.map(() => ({ ok: false, failure, isTemporary: false }));
    }
  }

  #requeue(batch: Map<PendingCommands, QueuedCommand[]>, failed: ReadonlyMap<QueuedCommand, CommandFailure>): void {
    const byDelay = new Map<number, PendingCommands[]>();
    const spread = jitter();
    for (const [queue, sent] of batch) {
      const again = sent.filter((queued) => failed.has(queued));
      queue.queued = [...again, ...queue.queued];
      this.#queuedCount += again.length;
      const delayMs = this.#delayOf(again, failed, spread);
      if (queue.queued.length === 0) this.#queues.delete(queue.subject);
      else byDelay.set(delayMs, [...(byDelay.get(delayMs) ?? []), queue]);
    }
    // Queues with the same delay continue together, in one batch.
    for (const [delayMs, queues] of byDelay) {
      if (delayMs === 0) this.#markReady(queues);
      else setTimeout(() => this.#markReady(queues), delayMs);
    }
  }

  /** The longest delay that one of them needs. */
  #delayOf(
    again: readonly QueuedCommand[],
    failed: ReadonlyMap<QueuedCommand, CommandFailure>,
    spread: number,
  ): number {
    const attempts = Math.max(0, ...again.map((queued) => queued.attempts));
    if (attempts === 0) return 0;
    const retryAfterMs = Math.max(...again.map((queued) => failed.get(queued)?.retryAfterMs ?? 0));
    return retryDelayMs(attempts, this.#options, retryAfterMs, spread);
  }
}

/** Settles final results; returns the commands to retry. */
function settle(
  batch: readonly QueuedCommand[],
  results: readonly CommandResult[],
  maxAttempts: number,
): Map<QueuedCommand, CommandFailure> {
  const failed = new Map<QueuedCommand, CommandFailure>();
  for (const [index, queued] of batch.entries()) {
    const result = results[index];
    if (result?.ok !== false || result.isUnsent !== true) queued.attempts += 1;
    if (result?.ok === true) queued.resolve(result.answer);
    else if (result === undefined) fail(queued, { code: "internal", message: "The transport returned no result." });
    else if (result.isTemporary && queued.attempts < maxAttempts) failed.set(queued, result.failure);
    else fail(queued, result.failure);
  }
  return failed;
}

const fail = (queued: QueuedCommand, failure: CommandFailure): void =>
  queued.reject(
    new PublisherError(failure, {
      operation: Object(queued.command).type,
      command: queued.command,
      attempts: queued.attempts,
    }),
  );
