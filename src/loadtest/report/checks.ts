import type { Scenario, Thresholds } from "../scenario.ts";
import type { Report } from "./report.ts";

/** One threshold and its result. */
export interface ThresholdCheck {
  name: keyof Thresholds;
  limit: number;
  value: number;
  passed: boolean;
}

type Measured = Pick<Report, "verdict" | "latency" | "publications" | "connections" | "feed">;

/** The measured value for each threshold. */
const values: { [Name in keyof Thresholds]-?: (measured: Measured, scenario: Scenario) => number } = {
  p50Ms: ({ latency }) => latency.live.p50,
  p90Ms: ({ latency }) => latency.live.p90,
  p99Ms: ({ latency }) => latency.live.p99,
  p999Ms: ({ latency }) => latency.live.p999,
  maxMs: ({ latency }) => latency.live.max,
  reconnectP95Ms: ({ connections }) => connections.reconnect.p95,
  reconnectP99Ms: ({ connections }) => connections.reconnect.p99,
  lost: ({ verdict }) => verdict.lost,
  reported: ({ verdict }) => verdict.reported,
  repeated: ({ verdict }) => verdict.repeated,
  reordered: ({ verdict }) => verdict.reordered,
  duplicated: ({ verdict }) => verdict.duplicated,
  gaps: ({ verdict }) => verdict.gaps,
  wrongBoards: ({ verdict }) => verdict.wrongBoards,
  neverSubscribed: ({ verdict }) => verdict.neverSubscribed,
  disconnected: ({ connections }, { readers }) => readers.count - connections.reading,
  unconfirmed: ({ publications }) => Object.values(publications.unconfirmed).reduce((sum, count) => sum + count, 0),
  // Not measured counts as exceeded.
  feedRatio: ({ feed }) => feed?.ratio ?? Number.POSITIVE_INFINITY,
};

/** Checks every threshold of the scenario. */
export function checkAll(scenario: Scenario, measured: Measured): ThresholdCheck[] {
  const limits = Object.entries(scenario.thresholds) as [keyof Thresholds, number | undefined][];
  return limits.flatMap(([name, limit]) => {
    if (limit === undefined) return [];
    const value = values[name](measured, scenario);
    return [{ name, limit, value, passed: value <= limit }];
  });
}
