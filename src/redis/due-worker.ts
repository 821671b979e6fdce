import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";

/**
 * Does what is due, on every node; the store gives each member to one of them. It rests until the next is due, as far as
 * it knows: what other nodes plan meanwhile is for them to ask for, and found here should they have died.
 */
export interface DueWorker<T> {
  start(): void;
  /** Something will be due by then. */
  expect(dueInMs: number): void;
  /** Does what the caller has claimed, as soon as there is a place; false where too much waits for one. */
  take(due: T): boolean;
  /** Something waits for a place. */
  readonly isFull: boolean;
  /** Resolves when what was begun has ended; what waited for a place is let go of. */
  stop(): Promise<void>;
}

export interface DueWorkerDeps<T> {
  claim: (most: number) => Promise<{ due: readonly T[]; nextInMs: number | undefined }>;
  /** What fails stays planned, and is due again when the claim ends. */
  perform: (due: T) => Promise<void>;
  /** What is logged when it fails: `due-order check`. */
  task: string;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two askings at least, unless there is more to do than one takes. */
const minPauseMs = 100;
/** And at most: how late what a dead node planned is found; also after an asking that failed. */
const maxPauseMs = 1_000;
const maxAtOnce = 64;
const maxWaiting = 1_000;

export function createDueWorker<T>({ claim, perform, task, clock, log }: DueWorkerDeps<T>): DueWorker<T> {
  let isOn = false;
  let asking: Promise<void> | undefined;
  let cancel: Cancel = () => undefined;
  const underWay = new Set<Promise<void>>();
  /** Claimed, and waiting for a place. */
  const waiting: T[] = [];
  /** Monotonic milliseconds: when something is due, at first whenever it begins; and before when nothing is asked. */
  let dueAt = -Infinity;
  let notBefore = -Infinity;

  function expect(dueInMs: number): void {
    const at = clock.monotonic() + dueInMs;
    if (at >= dueAt) return;
    dueAt = at;
    if (asking === undefined) rest();
  }

  function rest(): void {
    cancel();
    if (isOn) cancel = clock.after(Math.ceil(Math.max(dueAt, notBefore) - clock.monotonic()), wakeUp);
  }

  /** Timers may fire a little early; to ask then would be to ask twice. */
  function wakeUp(): void {
    if (clock.monotonic() < Math.max(dueAt, notBefore)) return rest();
    asking = ask().finally(() => {
      asking = undefined;
      rest();
    });
  }

  async function ask(): Promise<void> {
    dueAt = Infinity;
    const pauseMs = await round().catch((error: unknown) => {
      log.warn({ err: error }, `${task} failed; retrying`);
      return maxPauseMs;
    });
    notBefore = clock.monotonic() + pauseMs;
    expect(maxPauseMs);
  }

  /** Milliseconds for which nothing more is asked. */
  async function round(): Promise<number> {
    if (underWay.size >= maxAtOnce) return maxPauseMs;
    const { due, nextInMs } = await claim(maxAtOnce);
    if (nextInMs !== undefined) expect(nextInMs);
    waiting.push(...due);
    fill();
    return due.length === maxAtOnce ? 0 : minPauseMs;
  }

  function fill(): void {
    while (isOn && underWay.size < maxAtOnce && waiting.length > 0) begin(waiting.shift() as T);
  }

  function begin(due: T): void {
    const done = perform(due)
      .catch((error: unknown) => log.warn({ err: error }, `${task} failed; retrying`))
      .finally(() => {
        const wasFull = underWay.size >= maxAtOnce;
        underWay.delete(done);
        fill();
        if (wasFull && waiting.length === 0) askAgain();
      });
    underWay.add(done);
  }

  /** What waited for a place may be due. */
  function askAgain(): void {
    notBefore = -Infinity;
    dueAt = Infinity;
    expect(0);
  }

  return {
    start() {
      isOn = true;
      rest();
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
      await asking;
      waiting.length = 0;
      await Promise.all(underWay);
    },
  };
}
