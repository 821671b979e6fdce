import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Decision, RefusalReason } from "./decision.ts";
import type { LimiterName } from "./policies.ts";
import { WorstOffenders } from "./worst-offenders.ts";

/** Counts refusals by limiter and reason; both are closed sets. `shadow`: would have been refused. */
export interface RefusalMetrics {
  refused(limiter: LimiterName, reason: RefusalReason | "shadow"): void;
}

/** What becomes of a decision: counted where it refuses, let through where its limiter only watches. */
export interface Referee {
  judge(policy: { name: LimiterName; shadow: boolean }, subject: string, decision: Decision): Decision;
  /** One line on who was refused most since the last report; none where nobody was. */
  report(): void;
}

/** Offenders a report names. */
const reported = 5;

export function createReferee({
  clock,
  log,
  metrics,
}: {
  clock: Clock;
  log: Logger;
  metrics: RefusalMetrics;
}): Referee {
  const offenders = new WorstOffenders();
  let since = clock.monotonic();

  return {
    judge({ name, shadow }, subject, decision) {
      if (decision.reason === undefined) return decision;
      offenders.note(name, subject);
      metrics.refused(name, shadow ? "shadow" : decision.reason);
      return shadow ? { ...decision, allowed: true, retryAfterMs: 0, reason: undefined } : decision;
    },
    report() {
      const worst = offenders.drain(reported);
      const periodMs = Math.round(clock.monotonic() - since);
      since = clock.monotonic();
      if (worst.length > 0) log.warn({ worst, periodMs }, "most refused clients");
    },
  };
}
