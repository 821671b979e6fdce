import { randomUUID } from "node:crypto";
import type { CommandType } from "../protocol/commands.ts";
import { PublisherError } from "./errors.ts";
import { badCommand, subjectOf } from "./subject.ts";
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
  readonly command: Command;
  tries: number;
  resolve(answer: unknown): void;
  reject(error: PublisherError): void;
}

/** Commands about one subject, in order: while some are on their way, or wait to be tried again, the rest wait too. */
interface Lane {
  readonly subject: string;
  waiting: Waiting[];
}

/** Sends under way at a time: one that hangs holds up its own subjects only. */
const maxSends = 4;

/** No command waits longer before it is tried again, whatever the gateway asks for. */
const longestAskedMs = 60_000;

/** Commands on their way: one lane for each subject, and as many lanes as there is room for in one batch. */
export class CommandQueue {
  readonly #transport: Transport<Record<CommandType, object>>;
  readonly #options: QueueOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes with commands that may be sent now. */
  readonly #ready = new Set<Lane>();
  readonly #unsettled = new Set<Promise<unknown>>();
  #waitingCount = 0;
  #sends = 0;
  #isScheduled = false;
  #isClosed = false;

  constructor(transport: Transport<Record<CommandType, object>>, options: QueueOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  add(draft: Command): Promise<unknown> {
    const answer = new Promise((resolve, reject) => this.#take({ command: draft, tries: 0, resolve, reject }));
    this.#unsettled.add(answer);
    const settled = (): void => void this.#unsettled.delete(answer);
    answer.then(settled, settled);
    const { onFailure } = this.#options;
    if (onFailure !== undefined) answer.catch(onFailure);
    return answer;
  }

  async flush(): Promise<void> {
    await Promise.allSettled(this.#unsettled);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.flush();
  }

  #take(draft: Waiting): void {
    const problem = this.#problemOf(draft.command);
    if (problem !== undefined) return fail(draft, problem);
    const waiting = { ...draft, command: this.#withKey(draft.command) };
    this.#waitingCount += 1;
    const lane = this.#laneOf(subjectOf(waiting.command));
    lane.waiting.push(waiting);
  }

  #problemOf(command: Command): Failure | undefined {
    if (this.#isClosed) return { code: "closed", message: "The publisher is closed." };
    if (this.#waitingCount >= this.#options.mostWaiting)
      return { code: "queue_full", message: "Too many commands are waiting." };
    return badCommand(command);
  }

  /** The key is chosen once, so that every try has the same. */
  #withKey(command: Command): Command {
    if (command.idempotencyKey !== undefined || !this.#transport.needsKey(command)) return command;
    return { ...command, idempotencyKey: randomUUID() };
  }

  #laneOf(subject: string): Lane {
    const known = this.#lanes.get(subject);
    if (known !== undefined) return known;
    const lane = { subject, waiting: [] };
    this.#lanes.set(subject, lane);
    this.#release([lane]);
    return lane;
  }

  #release(lanes: Iterable<Lane>): void {
    for (const lane of lanes) this.#ready.add(lane);
    this.#schedule();
  }

  /** Whatever else is handed in during this tick travels along. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      while (this.#ready.size > 0 && this.#sends < maxSends) void this.#send(this.#collect());
    });
  }

  /** At most so many commands, of as many ready lanes as that takes. */
  #collect(): Map<Lane, Waiting[]> {
    const batch = new Map<Lane, Waiting[]>();
    let room = this.#options.mostAtOnce;
    for (const lane of this.#ready) {
      if (room === 0) break;
      const taken = lane.waiting.splice(0, room);
      room -= taken.length;
      this.#waitingCount -= taken.length;
      batch.set(lane, taken);
      this.#ready.delete(lane);
    }
    return batch;
  }

  async #send(batch: Map<Lane, Waiting[]>): Promise<void> {
    this.#sends += 1;
    const all = [...batch.values()].flat();
    const outcomes = await this.#outcomesOf(all.map(({ command }) => command));
    this.#sends -= 1;
    const failed = settle(all, outcomes, this.#options.tries);
    this.#putBack(batch, failed);
    this.#schedule();
  }

  /** A transport that throws costs the commands it was given, and nothing else. */
  async #outcomesOf(commands: readonly Command[]): Promise<readonly Outcome[]> {
    try {
      return await this.#transport.send(commands);
    } catch (error) {
      const failure: Failure = { code: "internal", message: `The transport failed: ${String(error)}` };
      return commands.map(() => ({ ok: false, failure, mayPass: false }));
    }
  }

  #putBack(batch: Map<Lane, Waiting[]>, failed: ReadonlyMap<Waiting, Failure>): void {
    const pauses = new Map<number, Lane[]>();
    const spread = 0.75 + Math.random() / 2;
    for (const [lane, sent] of batch) {
      const again = sent.filter((waiting) => failed.has(waiting));
      lane.waiting = [...again, ...lane.waiting];
      this.#waitingCount += again.length;
      const pauseMs = this.#pauseOf(again, failed, spread);
      if (lane.waiting.length === 0) this.#lanes.delete(lane.subject);
      else pauses.set(pauseMs, [...(pauses.get(pauseMs) ?? []), lane]);
    }
    // Lanes that wait for as long go on together, in one batch.
    for (const [pauseMs, lanes] of pauses) {
      if (pauseMs === 0) this.#release(lanes);
      else setTimeout(() => this.#release(lanes), pauseMs);
    }
  }

  /** Doubled with each try, with jitter, and no sooner than the gateway asked for. */
  #pauseOf(again: readonly Waiting[], failed: ReadonlyMap<Waiting, Failure>, spread: number): number {
    if (again.length === 0) return 0;
    const { firstPauseMs, longestPauseMs } = this.#options;
    const tries = Math.max(...again.map((waiting) => waiting.tries));
    const askedMs = Math.max(...again.map((waiting) => failed.get(waiting)?.retryAfterMs ?? 0));
    const ownMs = Math.min(firstPauseMs * 2 ** (tries - 1), longestPauseMs) * spread;
    return Math.max(1, ownMs, Math.min(askedMs, longestAskedMs));
  }
}

/** Answers what is decided; the rest is to be tried again. */
function settle(batch: readonly Waiting[], outcomes: readonly Outcome[], maxTries: number): Map<Waiting, Failure> {
  const failed = new Map<Waiting, Failure>();
  for (const [index, waiting] of batch.entries()) {
    const outcome = outcomes[index];
    waiting.tries += 1;
    if (outcome?.ok === true) waiting.resolve(outcome.answer);
    else if (outcome === undefined) fail(waiting, { code: "internal", message: "The transport returned no result." });
    else if (outcome.mayPass && waiting.tries < maxTries) failed.set(waiting, outcome.failure);
    else fail(waiting, outcome.failure);
  }
  return failed;
}

const fail = (waiting: Waiting, failure: Failure): void =>
  waiting.reject(new PublisherError(failure, waiting.command, waiting.tries));
