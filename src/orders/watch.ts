import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { LookStore, PlannedLook } from "./look-store.ts";

/**
 * Looks after what is due, on every node; the store gives each look to one of them. It rests until the next is due, as
 * far as it knows: what other nodes plan meanwhile is for them to ask for, and found here should they have died.
 */
export interface Watch {
  start(): void;
  /** Something will be due by then. */
  expect(dueInMs: number): void;
  stop(): Promise<void>;
}

export interface WatchDeps {
  looks: LookStore;
  lookAfter: (planned: PlannedLook["look"]) => Promise<void>;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two askings at least, unless there is more to do than one takes. */
const leastPauseMs = 100;
/** And at most: how late what a dead node planned is found; also after an asking that failed. */
const mostPauseMs = 1_000;
const mostAtOnce = 64;

export function createWatch({ looks, lookAfter, clock, log }: WatchDeps): Watch {
  let isOn = false;
  let asking: Promise<void> | undefined;
  let cancel: Cancel = () => undefined;
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
      log.warn({ err: error }, "orders not looked after");
      return mostPauseMs;
    });
    notBefore = clock.monotonic() + pauseMs;
    expect(mostPauseMs);
  }

  /** Milliseconds for which nothing more is asked. */
  async function round(): Promise<number> {
    const claimed = await looks.claim(mostAtOnce);
    if (claimed.nextInMs !== undefined) expect(claimed.nextInMs);
    const outcomes = await Promise.allSettled(claimed.looks.map(({ look }) => lookAfter(look)));
    // What failed stays planned and is due again when the claim ends.
    await looks.drop(claimed.looks.filter((_, index) => outcomes[index]?.status === "fulfilled"));
    const failures = outcomes.filter((outcome) => outcome.status === "rejected");
    if (failures.length > 0) log.warn({ err: failures[0]?.reason, failed: failures.length }, "looks failed");
    return claimed.looks.length === mostAtOnce ? 0 : leastPauseMs;
  }

  return {
    start() {
      isOn = true;
      rest();
    },
    expect,
    async stop() {
      isOn = false;
      cancel();
      await asking;
    },
  };
}
