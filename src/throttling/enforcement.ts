import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { RateLimitResult, RefusalReason } from "./rate-limit-result.ts";
import type { LimiterName } from "./policies.ts";
import { HeavyHitters } from "./heavy-hitters.ts";

/** Counts refusals by limiter and reason; both are closed sets. `shadow`: would have been refused. */
export interface RefusalMetrics {
  refused(limiter: LimiterName, reason: RefusalReason | "shadow"): void;
}

/** Counts refusals, and allows the operation after all if its limiter is in shadow mode. */
export interface Enforcement {
  enforce(policy: { name: LimiterName; shadow: boolean }, subject: string, result: RateLimitResult): RateLimitResult;
  /** Logs the subjects refused most since the last report, if any. */
  report(): void;
}

/** Max subjects in a report. */
const maxReported = 5;

export function createEnforcement({
  clock,
  log,
  metrics,
}: {
  clock: Clock;
  log: Logger;
  metrics: RefusalMetrics;
}): Enforcement {
  const refused = new HeavyHitters();
  let since = clock.monotonic();

  return {
    enforce({ name, shadow }, subject, result) {
      if (result.reason === undefined) return result;
      refused.count(name, subject);
      metrics.refused(name, shadow ? "shadow" : result.reason);
      return shadow ? { ...result, allowed: true, retryAfterMs: 0, reason: undefined } : result;
    },
    report() {
      const worst = refused.drain(maxReported);
      const periodMs = Math.round(clock.monotonic() - since);
      since = clock.monotonic();
      if (worst.length > 0) log.warn({ worst, periodMs }, "most refused clients");
    },
  };
}
