import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { LookStore, PlannedLook } from "./look-store.ts";

/** Looks after what is due, on every node; the store gives each look to one of them. */
export interface Watch {
  start(): void;
  stop(): Promise<void>;
}

export interface WatchDeps {
  looks: LookStore;
  lookAfter: (planned: PlannedLook["look"]) => Promise<void>;
  clock: Clock;
  log: Logger;
}

/** Milliseconds between two askings of a node that found little to do: one small script. */
const askEveryMs = 100;
/** Milliseconds until a node asks again that could not. */
const afterFailureMs = 1_000;
const mostAtOnce = 64;

export function createWatch({ looks, lookAfter, clock, log }: WatchDeps): Watch {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const pauseMs = await round().catch((error: unknown) => {
        log.warn({ err: error }, "orders not looked after");
        return afterFailureMs;
      });
      if (pauseMs > 0) await sleep(clock, pauseMs, stopping.signal);
    }
  }

  /** Milliseconds until the next round. */
  async function round(): Promise<number> {
    const claimed = await looks.claim(mostAtOnce);
    const outcomes = await Promise.allSettled(claimed.map(({ look }) => lookAfter(look)));
    // What failed stays planned and is due again when the claim ends.
    await looks.drop(claimed.filter((_, index) => outcomes[index]?.status === "fulfilled"));
    const failures = outcomes.filter((outcome) => outcome.status === "rejected");
    if (failures.length > 0) log.warn({ err: failures[0]?.reason, failed: failures.length }, "looks failed");
    return claimed.length === mostAtOnce ? 0 : askEveryMs;
  }

  return {
    start: () => void (running ??= run()),
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
