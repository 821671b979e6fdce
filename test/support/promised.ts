import { readFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";

/** As many runnable processes per core as the tests themselves make. */
const ownLoad = 2;

/**
 * How long something may take that is promised within `ms`: longer, in proportion, if other programs keep the machine
 * busy, since whatever waits for a core then is late whoever wrote it.
 */
export const promised = (ms: number): number =>
  ms * Math.max(1, Math.max(loadavg()[0]!, runnable()) / (ownLoad * availableParallelism()));

/** Processes that run or wait for a core at this moment, which the load of the last minute does not show yet. */
function runnable(): number {
  try {
    return Number(/ (\d+)\/\d/.exec(readFileSync("/proc/loadavg", "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** For tests of how long something takes: who was busy for a moment is late once, and a broken promise each time. */
export const timed = { retry: 2 };

/**
 * Tries what can be told only if it takes less than `ms`, because a lease, a window or a season must not end meanwhile.
 * An attempt that failed and took longer says nothing of the code, and is made again.
 */
export async function within<T>(ms: number, attempt: () => Promise<T>, tries = 10): Promise<T> {
  const begun = performance.now();
  try {
    return await attempt();
  } catch (error) {
    if (tries === 1 || performance.now() - begun < ms) throw error;
    return within(ms, attempt, tries - 1);
  }
}

const stallMs = 1_000;
let lookedAt = performance.now();
/** When this process last stood still for a second. */
let stalledAt = Number.NEGATIVE_INFINITY;
setInterval(() => {
  const now = performance.now();
  if (now - lookedAt > stallMs) stalledAt = now;
  lookedAt = now;
}, 100).unref();

/**
 * Tries again what is refused because this process stood still meanwhile or just before: a node in it has outlived its lease then, and
 * refuses until its next heartbeat, as it says.
 */
export async function despiteStalls<T>(attempt: () => Promise<T>, isRefused: (outcome: T) => boolean): Promise<T> {
  const begun = performance.now();
  for (let tries = 0; ; tries += 1) {
    const outcome = await attempt();
    if (tries === 10 || !isRefused(outcome) || stalledAt < begun - stallMs) return outcome;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
