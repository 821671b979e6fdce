import type { Scenario, Thresholds } from "../scenario.ts";
import type { Report } from "./report.ts";

/** One threshold and what became of it. */
export interface Check {
  name: keyof Thresholds;
  limit: number;
  value: number;
  passed: boolean;
}

type Measured = Pick<Report, "verdict" | "latency" | "publications" | "connections" | "feed">;

/** What each threshold is compared with. */
const values: { [Name in keyof Thresholds]-?: (measured: Measured, scenario: Scenario) => number } = {
  p50Ms: ({ latency }) => latency.live.p50,
  p90Ms: ({ latency }) => latency.live.p90,
  p99Ms: ({ latency }) => latency.live.p99,
  p999Ms: ({ latency }) => latency.live.p999,
  maxMs: ({ latency }) => latency.live.max,
  returnP95Ms: ({ connections }) => connections.return.p95,
  returnP99Ms: ({ connections }) => connections.return.p99,
  lost: ({ verdict }) => verdict.lost,
  told: ({ verdict }) => verdict.told,
  repeated: ({ verdict }) => verdict.repeated,
  reordered: ({ verdict }) => verdict.reordered,
  doubled: ({ verdict }) => verdict.doubled,
  holes: ({ verdict }) => verdict.holes,
  wrongBoards: ({ verdict }) => verdict.wrongBoards,
  unread: ({ verdict }) => verdict.unread,
  away: ({ connections }, { readers }) => readers.count - connections.reading,
  unconfirmed: ({ publications }) => Object.values(publications.unconfirmed).reduce((sum, count) => sum + count, 0),
  // Where it could not be measured it is not kept either.
  feedRatio: ({ feed }) => feed?.ratio ?? Number.POSITIVE_INFINITY,
};

/** Every threshold that the scenario names. */
export function checkAll(scenario: Scenario, measured: Measured): Check[] {
  const limits = Object.entries(scenario.thresholds) as [keyof Thresholds, number | undefined][];
  return limits.flatMap(([name, limit]) => {
    if (limit === undefined) return [];
    const value = values[name](measured, scenario);
    return [{ name, limit, value, passed: value <= limit }];
  });
}
