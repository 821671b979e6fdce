import type { CommandType } from "../protocol/commands.ts";
import type { LeaderLease } from "../redis/leader-lease.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { toFailure, type Failure } from "./failures.ts";
import type { Lane } from "./lanes.ts";

/** A command of the stream on its way. */
export interface Job {
  /** Undefined where the entry was no command; performing it then says why. */
  type: CommandType | undefined;
  turn: LeaderLease;
  perform(): Promise<void>;
  /** Keeps it as a dead letter; throws where the store is away. */
  bury(failure: Failure, tries: number): Promise<void>;
  /** True where it is dealt with, false where it is left to the next turn. */
  finish(isDone: boolean): void;
  onRetry(): void;
}

export interface RunOptions {
  /** How often a command is tried before it becomes a dead letter. @default 5 */
  tries: number;
  /** Milliseconds before the second try; doubled for each that follows. @default 100 */
  firstPauseMs: number;
  /** @default 5000 */
  longestPauseMs: number;
}

/** Publications that are sent in one go; Redis takes them in the order they were sent. */
const longestRun = 32;

/** Performs the head of a lane: one command, or the publications that stand there together. */
export function createRunner(clock: Clock, { tries: mostTries, firstPauseMs, longestPauseMs }: RunOptions) {
  async function run(lane: Lane<Job>): Promise<void> {
    let left = takeRun(lane.queue);
    let tries = 0;
    for (let pauseMs = firstPauseMs; left.length > 0; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const failed = await attempt(left, lane);
      left = failed.map(({ job }) => job);
      const [first] = failed;
      if (first === undefined || goesBehindItsOrder(lane.queue, first.job, left)) return;
      if (first.failure.kind !== "away") tries++;
      if (tries >= (lane.isPatient ? mostTries : 1)) return giveUp(failed, lane, tries);
      for (const job of left) job.onRetry();
      await sleep(clock, pauseMs * (0.75 + Math.random() / 2), first.job.turn.ended);
    }
  }

  /** Those that may yet succeed, in order; what is refused for good is buried. */
  async function attempt(jobs: readonly Job[], lane: Lane<Job>): Promise<FailedJob[]> {
    const outcomes = await Promise.all(jobs.map(perform));
    const failed: FailedJob[] = [];
    for (const [index, failure] of outcomes.entries()) {
      const job = jobs[index] as Job;
      if (failure === undefined) lane.isPatient = true;
      else if (failure.kind === "refused") await bury({ job, failure }, 1);
      else failed.push({ job, failure });
    }
    return failed;
  }

  async function giveUp(failed: readonly FailedJob[], lane: Lane<Job>, tries: number): Promise<void> {
    lane.isPatient = false;
    for (const one of failed) await bury(one, tries);
  }

  async function bury({ job, failure }: FailedJob, tries: number): Promise<void> {
    while (job.turn.isCurrent()) {
      try {
        await job.bury(failure, tries);
        return job.finish(true);
      } catch {
        // The store is away; the letter is kept before the entry is let go of, or by the next turn.
        await sleep(clock, firstPauseMs, job.turn.ended);
      }
    }
    job.finish(false);
  }

  return run;
}

interface FailedJob {
  job: Job;
  failure: Failure;
}

/** Undefined where it was performed, or is the next turn's to perform. */
async function perform(job: Job): Promise<Failure | undefined> {
  try {
    if (job.turn.isCurrent()) {
      await job.perform();
      job.finish(true);
    } else job.finish(false);
    return undefined;
  } catch (error) {
    return toFailure(job.type, error);
  }
}

function takeRun(queue: Job[]): Job[] {
  const other = queue.findIndex(({ type }) => type !== "publish");
  const publications = other === -1 ? queue.length : other;
  return queue.splice(0, Math.min(Math.max(publications, 1), longestRun));
}

/** An order's creation that waits behind its events goes first: they could not succeed before it. */
function goesBehindItsOrder(queue: Job[], { type }: Job, waiting: readonly Job[]): boolean {
  if (type !== "order.update" && type !== "order.event" && type !== "order.signal") return false;
  const creation = queue.findIndex((job) => job.type === "order.create");
  if (creation === -1) return false;
  queue.unshift(...queue.splice(creation, 1), ...waiting);
  return true;
}
