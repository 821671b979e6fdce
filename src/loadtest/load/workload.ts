import type { ApiFailure } from "../api.ts";

/** One publication to send. */
export interface WorkItem {
  /** The channel whose readers receive it. */
  channel: string;
  /** Number within the channel, starting at 1; undefined if readers do not receive a publication for each item. */
  number: number | undefined;
  /** Scheduled time in epoch milliseconds, independent of the target. */
  dueAt: number;
  /** Items of one queue are sent in order, one call at a time. All items of a channel are in one queue. */
  queue: number;
  /** Argument for the workload's own `send`. */
  body: object;
}

export type SendOutcome = "confirmed" | ApiFailure;

/** What to publish, and how. */
export interface Workload {
  readonly queues: number;
  /** Max items per call. */
  readonly maxBatchSize: number;
  /** The next item, determined by the seed. */
  next(dueAt: number): WorkItem;
  /** Sends items of one queue, in order; returns one outcome per item. */
  send(items: readonly WorkItem[]): Promise<SendOutcome[]>;
  stop(): void;
}
