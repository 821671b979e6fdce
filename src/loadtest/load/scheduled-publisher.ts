import type { ChannelPublishLog, PublishLog } from "../verification/publish-log.ts";
import { epochNow } from "../plan.ts";
import type { Random } from "../random.ts";
import type { Measurements } from "../measurements.ts";
import type { WorkItem, SendOutcome, Workload } from "./workload.ts";

export interface ScheduledPublisherDeps {
  workload: Workload;
  /** Due times in milliseconds from the start, ascending. */
  schedule: Iterator<number>;
  measurements: Measurements;
  random: Random;
}

/** How long an item is retried before it counts as unconfirmed. */
const timeoutMs = 30_000;
const minDelayMs = 100;
const maxDelayMs = 2_000;

/** The same after the end of the schedule. */
const finalRetryMs = 10_000;

/** Max waiting items. Beyond it, due publications are not sent, and the report says so. */
const maxWaiting = 200_000;

/** A channel's publish log while it is written. */
interface OpenPublishLog extends ChannelPublishLog {
  readonly sentAt: number[];
  readonly unconfirmed: Set<number>;
  readonly outOfOrder: Set<number>;
}

/**
 * Sends items when they are due. Items of a slow queue wait, and the wait counts: latency is measured from the due
 * time, so a target that stalls is not measured only while it answers.
 */
export class ScheduledPublisher {
  readonly #deps: ScheduledPublisherDeps;
  readonly #queues: WorkItem[][];
  readonly #busy = new Set<Promise<void>>();
  readonly #running: boolean[];
  readonly #publishLog = new Map<string, OpenPublishLog>();
  #timer: NodeJS.Timeout | undefined;
  /** Sends the items that are due; does nothing after the end of the schedule. */
  #followOn = (): void => undefined;
  /** When `stop` was called. */
  #stoppedAt = Number.POSITIVE_INFINITY;

  constructor(deps: ScheduledPublisherDeps) {
    this.#deps = deps;
    this.#queues = Array.from({ length: deps.workload.queues }, () => []);
    this.#running = this.#queues.map(() => false);
    deps.measurements.gauge("waiting", () => this.#waiting);
  }

  get #waiting(): number {
    return this.#queues.reduce((sum, { length }) => sum + length, 0);
  }

  get #isOver(): boolean {
    return epochNow() > this.#stoppedAt + finalRetryMs;
  }

  /** `at`: start of the schedule in epoch milliseconds. */
  start(at: number): void {
    this.#follow(at, this.#deps.schedule.next());
  }

  /** Stops the schedule; resolves to the publish log when every sent item is confirmed or given up. */
  async stop(): Promise<PublishLog> {
    clearTimeout(this.#timer);
    // If the generator itself is late, send what was due until now.
    this.#followOn();
    clearTimeout(this.#timer);
    this.#stoppedAt = epochNow();
    while (this.#busy.size > 0) await Promise.all(this.#busy);
    this.#deps.workload.stop();
    return this.#publishLog;
  }

  #follow(startedAt: number, step: IteratorResult<number>): void {
    let next = step;
    this.#followOn = () => undefined;
    while (next.done !== true && startedAt + next.value <= epochNow()) {
      this.#due(startedAt + next.value);
      next = this.#deps.schedule.next();
    }
    if (next.done === true || this.#stoppedAt < epochNow()) return;
    const waitMs = Math.max(startedAt + next.value - epochNow(), 0);
    this.#followOn = () => this.#follow(startedAt, next);
    this.#timer = setTimeout(this.#followOn, waitMs);
  }

  #due(at: number): void {
    // The generator's own delay; the rest is the target's.
    this.#deps.measurements.record("lag", epochNow() - at);
    if (this.#waiting >= maxWaiting) return this.#deps.measurements.count("unsent");
    const item = this.#deps.workload.next(at);
    this.#queues[item.queue]?.push(item);
    if (this.#running[item.queue] === true) return;
    this.#running[item.queue] = true;
    const run = this.#run(item.queue).finally(() => this.#busy.delete(run));
    this.#busy.add(run);
  }

  async #run(index: number): Promise<void> {
    // Let items that are due at the same moment form one batch.
    await Promise.resolve();
    const queue = this.#queues[index] as WorkItem[];
    while (queue.length > 0 && !this.#isOver) await this.#deliver(queue.splice(0, this.#deps.workload.maxBatchSize));
    if (queue.length > 0) this.#deps.measurements.count("unsent", queue.splice(0).length);
    this.#running[index] = false;
  }

  /**
   * Retries until each item is confirmed, refused for good, or given up. The rest of the queue waits, to keep the
   * order.
   */
  async #deliver(items: readonly WorkItem[]): Promise<void> {
    const firstSentAt = epochNow();
    for (const item of items) this.#sent(item, firstSentAt);
    let waiting = items;
    for (let attempt = 0; waiting.length > 0; attempt += 1) {
      const outcomes = await this.#deps.workload.send(waiting);
      const isLast = this.#isOver || epochNow() - firstSentAt > timeoutMs;
      waiting = this.#settle(waiting, outcomes, isLast);
      if (waiting.length > 0) await this.#pause(attempt, outcomes);
    }
  }

  /** Returns the items to retry. */
  #settle(items: readonly WorkItem[], outcomes: readonly SendOutcome[], isLast: boolean): WorkItem[] {
    const again: WorkItem[] = [];
    for (const [at, item] of items.entries()) {
      const outcome = outcomes[at];
      if (outcome === "confirmed") this.#confirmed(item);
      else if (isLast || outcome === undefined || !outcome.isTemporary)
        this.#giveUp(item, outcome?.code ?? "unanswered");
      else again.push(item);
    }
    // Other items of the batch were accepted: retried ones come after them.
    if (again.length < items.length) for (const item of again) this.#note(item, "outOfOrder");
    return again;
  }

  #pause(attempt: number, outcomes: readonly SendOutcome[]): Promise<void> {
    const asked = outcomes.map((outcome) => (outcome === "confirmed" ? 0 : outcome.retryAfterMs));
    const delayMs = Math.min(minDelayMs * 2 ** Math.min(attempt, 10), maxDelayMs) * (0.5 + this.#deps.random());
    this.#deps.measurements.count("repeats");
    return new Promise((resolve) => void setTimeout(resolve, Math.max(delayMs, ...asked)));
  }

  #sent(item: WorkItem, at: number): void {
    this.#deps.measurements.count("published");
    if (item.number !== undefined) this.#logOf(item.channel).sentAt.push(at);
  }

  #confirmed(item: WorkItem): void {
    this.#deps.measurements.count("confirmed");
    this.#deps.measurements.record("confirm", epochNow() - item.dueAt);
  }

  #giveUp(item: WorkItem, code: string): void {
    this.#deps.measurements.count(`unconfirmed:${code}`);
    this.#note(item, "unconfirmed");
  }

  #note({ channel, number }: WorkItem, list: "unconfirmed" | "outOfOrder"): void {
    if (number !== undefined) this.#logOf(channel)[list].add(number);
  }

  #logOf(channel: string): OpenPublishLog {
    const known = this.#publishLog.get(channel) ?? {
      sentAt: [],
      unconfirmed: new Set<number>(),
      outOfOrder: new Set<number>(),
    };
    this.#publishLog.set(channel, known);
    return known;
  }
}
