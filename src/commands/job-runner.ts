import type { CommandType } from "../protocol/commands.ts";
import type { LeaderLease } from "../redis/leader-lease.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import { toFailure, type JobFailure } from "./failures.ts";
import type { JobQueue } from "./job-queues.ts";

/** A command of the stream that is being performed. */
export interface Job {
  /** Undefined if the entry is not a valid command; `perform` then throws the reason. */
  type: CommandType | undefined;
  lease: LeaderLease;
  perform(): Promise<void>;
  /** Stores the command as a dead letter; throws if Redis cannot be reached. */
  deadLetter(failure: JobFailure, tries: number): Promise<void>;
  /** True if it is done, false if it is left to the next leader. */
  finish(isDone: boolean): void;
  onRetry(): void;
}

export interface CommandRetryOptions {
  /** Max attempts before a command becomes a dead letter. @default 5 */
  tries: number;
  /** Milliseconds before the second attempt; doubled for each that follows. @default 100 */
  firstPauseMs: number;
  /** @default 5000 */
  longestPauseMs: number;
}

/** Max publications that are sent at once; Redis executes them in order. */
const maxBatch = 32;

/** Performs the head of a queue: one command, or consecutive publications. */
export function createJobRunner(clock: Clock, { tries: maxTries, firstPauseMs, longestPauseMs }: CommandRetryOptions) {
  async function run(queue: JobQueue<Job>): Promise<void> {
    let left = takeBatch(queue.jobs);
    let tries = 0;
    for (let pauseMs = firstPauseMs; left.length > 0; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const failed = await attempt(left, queue);
      left = failed.map(({ job }) => job);
      const [first] = failed;
      if (first === undefined || waitsForItsOrder(queue.jobs, first.job, left)) return;
      if (first.failure.kind !== "away") tries++;
      if (tries >= (queue.retries ? maxTries : 1)) return giveUp(failed, queue, tries);
      for (const job of left) job.onRetry();
      await sleep(clock, pauseMs * (0.75 + Math.random() / 2), first.job.lease.ended);
    }
  }

  /** Returns those that may succeed later, in order; permanently refused ones become dead letters. */
  async function attempt(jobs: readonly Job[], queue: JobQueue<Job>): Promise<FailedJob[]> {
    const outcomes = await Promise.all(jobs.map(perform));
    const failed: FailedJob[] = [];
    for (const [index, failure] of outcomes.entries()) {
      const job = jobs[index] as Job;
      if (failure === undefined) queue.retries = true;
      else if (failure.kind === "refused") await deadLetter({ job, failure }, 1);
      else failed.push({ job, failure });
    }
    return failed;
  }

  async function giveUp(failed: readonly FailedJob[], queue: JobQueue<Job>, tries: number): Promise<void> {
    queue.retries = false;
    for (const one of failed) await deadLetter(one, tries);
  }

  async function deadLetter({ job, failure }: FailedJob, tries: number): Promise<void> {
    while (job.lease.isCurrent()) {
      try {
        await job.deadLetter(failure, tries);
        return job.finish(true);
      } catch {
        // Redis cannot be reached; the entry is not acknowledged before its dead letter is stored.
        await sleep(clock, firstPauseMs, job.lease.ended);
      }
    }
    job.finish(false);
  }

  return run;
}

interface FailedJob {
  job: Job;
  failure: JobFailure;
}

/** Undefined if it was performed, or is left to the next leader. */
async function perform(job: Job): Promise<JobFailure | undefined> {
  try {
    if (job.lease.isCurrent()) {
      await job.perform();
      job.finish(true);
    } else job.finish(false);
    return undefined;
  } catch (error) {
    return toFailure(job.type, error);
  }
}

function takeBatch(jobs: Job[]): Job[] {
  const other = jobs.findIndex(({ type }) => type !== "publish");
  const publications = other === -1 ? jobs.length : other;
  return jobs.splice(0, Math.min(Math.max(publications, 1), maxBatch));
}

/** An order's creation that is queued behind its events goes first, because they cannot succeed before it. */
function waitsForItsOrder(jobs: Job[], { type }: Job, waiting: readonly Job[]): boolean {
  if (type !== "order.update" && type !== "order.event" && type !== "order.signal") return false;
  const creation = jobs.findIndex((job) => job.type === "order.create");
  if (creation === -1) return false;
  jobs.unshift(...jobs.splice(creation, 1), ...waiting);
  return true;
}
