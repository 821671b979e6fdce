import type { Cancel, Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logger.ts";

/**
 * Claims and performs due work on every node; the due set gives each member to one of them. It sleeps until the next known
 * member is due; members that other nodes plan meanwhile are claimed by those nodes, or here if they died.
 */
export interface DueWorker<T> {
  start(): void;
  /** Announces that a member will be due by then. */
  expect(dueInMs: number): void;
  /** Performs a member that the caller has claimed, as capacity allows; false if too many are waiting. */
  take(due: T): boolean;
  /** True while members wait for capacity. */
  readonly isFull: boolean;
  /** Resolves when the work in progress has ended; waiting members are left to their leases. */
  stop(): Promise<void>;
}

export interface DueWorkerDeps<T> {
  claim: (max: number) => Promise<{ due: readonly T[]; nextInMs: number | undefined }>;
  /** If it rejects, the member is due again when its claim ends. */
  perform: (due: T) => Promise<void>;
  /** Min milliseconds between two claims, unless one was full. @default 100 */
  minPauseMs?: number;
  /** Name of the work in log lines, such as `due-order check`. */
  task: string;
  clock: Clock;
  log: Logger;
}

/** Max milliseconds between two claims: how late the work of a dead node is found; also the pause after a failure. */
const maxPauseMs = 1_000;
const maxInFlight = 64;
const maxWaiting = 1_000;

export function createDueWorker<T>({
  claim,
  perform,
  minPauseMs = 100,
  task,
  clock,
  log,
}: DueWorkerDeps<T>): DueWorker<T> {
  let isOn = false;
  let claiming: Promise<void> | undefined;
  let cancel: Cancel = () => undefined;
  const inFlight = new Set<Promise<void>>();
  /** Claimed members that wait for capacity. */
  const waiting: T[] = [];
  /** Monotonic milliseconds: when the next member is due, and the earliest time of the next claim. */
  let dueAt = -Infinity;
  let notBefore = -Infinity;

  function expect(dueInMs: number): void {
    const at = clock.monotonic() + dueInMs;
    if (at >= dueAt) return;
    dueAt = at;
    if (claiming === undefined) sleepUntilDue();
  }

  function sleepUntilDue(): void {
    cancel();
    if (isOn) cancel = clock.after(Math.ceil(Math.max(dueAt, notBefore) - clock.monotonic()), wakeUp);
  }

  /** Timers may fire slightly early; claiming then would mean claiming twice. */
  function wakeUp(): void {
    if (clock.monotonic() < Math.max(dueAt, notBefore)) return sleepUntilDue();
    claiming = claimDue().finally(() => {
      claiming = undefined;
      sleepUntilDue();
    });
  }

  async function claimDue(): Promise<void> {
    dueAt = Infinity;
    const pauseMs = await claimOnce().catch((error: unknown) => {
      log.warn({ err: error }, `${task} failed; retrying`);
      return maxPauseMs;
    });
    notBefore = clock.monotonic() + pauseMs;
    expect(maxPauseMs);
  }

  /** Returns the milliseconds until the next claim is allowed. */
  async function claimOnce(): Promise<number> {
    if (inFlight.size >= maxInFlight) return maxPauseMs;
    const { due, nextInMs } = await claim(maxInFlight);
    if (nextInMs !== undefined) expect(nextInMs);
    waiting.push(...due);
    fill();
    return due.length === maxInFlight ? 0 : minPauseMs;
  }

  function fill(): void {
    while (isOn && inFlight.size < maxInFlight && waiting.length > 0) begin(waiting.shift() as T);
  }

  function begin(due: T): void {
    const done = perform(due)
      .catch((error: unknown) => log.warn({ err: error }, `${task} failed; retrying`))
      .finally(() => {
        const wasFull = inFlight.size >= maxInFlight;
        inFlight.delete(done);
        fill();
        if (wasFull && waiting.length === 0) claimAgain();
      });
    inFlight.add(done);
  }

  /** Members left in the due set for lack of capacity may be due. */
  function claimAgain(): void {
    notBefore = -Infinity;
    dueAt = Infinity;
    expect(0);
  }

  return {
    start() {
      isOn = true;
      sleepUntilDue();
    },
    expect,
    take(due) {
      if (!isOn || waiting.length >= maxWaiting) return false;
      waiting.push(due);
      fill();
      return true;
    },
    get isFull() {
      return waiting.length > 0;
    },
    async stop() {
      isOn = false;
      cancel();
      await claiming;
      waiting.length = 0;
      await Promise.all(inFlight);
    },
  };
}
