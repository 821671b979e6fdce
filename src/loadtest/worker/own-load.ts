import { epochNow } from "../plan.ts";
import type { Measurements } from "../measurements.ts";

/** Sampling interval. */
const periodMs = 10;

/**
 * Records the event loop delay and CPU of this process: latencies measured by a late generator are unreliable.
 */
export function monitorOwnLoad(measurements: Measurements): { stop(): void } {
  let expectedAt = epochNow() + periodMs;
  let cpu = process.cpuUsage();
  let takenAt = epochNow();

  const timer = setInterval(() => {
    const now = epochNow();
    measurements.record("loop", Math.max(now - expectedAt, 0));
    expectedAt = now + periodMs;
  }, periodMs);

  measurements.gauge("cpu", () => {
    const { user, system } = process.cpuUsage(cpu);
    const elapsedMs = epochNow() - takenAt;
    cpu = process.cpuUsage();
    takenAt = epochNow();
    return (user + system) / 1_000 / elapsedMs;
  });
  measurements.gauge("memory", () => process.memoryUsage.rss());

  return { stop: () => clearInterval(timer) };
}
