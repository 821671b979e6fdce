import { labNow } from "../plan.ts";
import type { Tally } from "../tally.ts";

/** Between two looks at the event loop. */
const periodMs = 10;

/**
 * How busy this process is: how late the event loop comes to work that is ready, and how much CPU it takes. What a
 * generator measures is worth no more than its own punctuality.
 */
export function watchOwnLoad(tally: Tally): { stop(): void } {
  let expectedAt = labNow() + periodMs;
  let cpu = process.cpuUsage();
  let takenAt = labNow();

  const timer = setInterval(() => {
    const now = labNow();
    tally.record("loop", Math.max(now - expectedAt, 0));
    expectedAt = now + periodMs;
  }, periodMs);

  tally.gauge("cpu", () => {
    const { user, system } = process.cpuUsage(cpu);
    const elapsedMs = labNow() - takenAt;
    cpu = process.cpuUsage();
    takenAt = labNow();
    return (user + system) / 1_000 / elapsedMs;
  });
  tally.gauge("memory", () => process.memoryUsage.rss());

  return { stop: () => clearInterval(timer) };
}
