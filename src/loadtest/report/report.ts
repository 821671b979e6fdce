import { availableParallelism } from "node:os";
import { version } from "../../runtime/version.ts";
import type { Percentiles } from "../histogram.ts";
import type { DeliveryVerdict } from "../verification/verdict.ts";
import { epochNow, type Plan } from "../plan.ts";
import type { FeedRatio } from "../run/feed-ratio.ts";
import type { MonitoredNode } from "../run/node-monitor.ts";
import type { Row, Timeline } from "../run/timeline.ts";
import { summarizeNode, type NodeSummary } from "./nodes.ts";
import { judgeGenerator, type GeneratorReport } from "./generator.ts";
import type { Scenario, Thresholds } from "../scenario.ts";

/** Something that happened during the run. */
export interface RunEvent {
  /** Epoch milliseconds. */
  at: number;
  what: string;
}

/** All results of a run, as in the JSON report. Times are epoch milliseconds, durations milliseconds. */
export interface Report {
  version: string;
  /** Every threshold was met, there were no problems, and the run was not interrupted. */
  passed: boolean;
  wasInterrupted: boolean;
  startedAt: number;
  endedAt: number;
  /** The plan of the run, without the API key. */
  plan: Omit<Plan, "apiKey">;
  checks: ThresholdCheck[];
  /** Why the run did not go as planned. */
  problems: string[];
  verdict: DeliveryVerdict;
  latency: {
    /** From the due time of a publication to its receipt, for readers that were subscribed at the due time. */
    live: Percentiles;
    /** The same for recovered publications, and for readers that had paused reading. */
    late: Percentiles;
    /** From the due time to the confirmation. */
    confirm: Percentiles;
  };
  publications: {
    published: number;
    confirmed: number;
    /** By reason. */
    unconfirmed: Record<string, number>;
    /** Number of retries. */
    repeats: number;
    delivered: number;
    perSecond: number;
    deliveredPerSecond: number;
  };
  connections: {
    /** From the first attempt until subscribed. */
    connect: Percentiles;
    /** From a lost connection until subscribed again. */
    reconnect: Percentiles;
    cut: number;
    stalled: number;
    lost: Record<string, number>;
    refused: Record<string, number>;
    closings: Record<string, number>;
    /** Subscribed at the end. */
    reading: number;
  };
  feed: FeedRatio | undefined;
  nodes: NodeSummary[];
  generator: GeneratorReport;
  events: RunEvent[];
  /** One row per second. */
  timeline: Row[];
  nodeSamples: MonitoredNode[];
}

export interface ReportInput {
  plan: Plan;
  startedAt: number;
  wasInterrupted: boolean;
  timeline: Timeline;
  nodes: readonly MonitoredNode[];
  events: readonly RunEvent[];
  /** Worker processes of the generator. */
  processes: number;
  verdict: DeliveryVerdict;
  feed: FeedRatio | undefined;
}

export function createReport(findings: ReportInput): Report {
  const { timeline, wasInterrupted, startedAt, events, nodes, verdict, feed } = findings;
  const { apiKey: _secret, ...plan } = findings.plan;
  const rows = timeline.rows;
  const measured = {
    verdict,
    latency: latencyOf(timeline),
    publications: publicationsOf(timeline, rows),
    connections: connectionsOf(timeline),
    feed,
  };
  const checks = checkAll(plan.scenario, measured);
  const problems = problemsOf(plan, measured, timeline);
  const cores = availableParallelism();
  return {
    version,
    passed: !wasInterrupted && problems.length === 0 && checks.every(({ passed }) => passed),
    wasInterrupted,
    startedAt,
    endedAt: epochNow(),
    plan,
    checks,
    problems,
    ...measured,
    nodes: nodes.map((node) => summarizeNode(node, rows)),
    generator: judgeGenerator({ timeline, rows, cores, processes: findings.processes, live: measured.latency.live }),
    events: [...events],
    timeline: rows,
    nodeSamples: [...nodes],
  };
}

function latencyOf(timeline: Timeline): Report["latency"] {
  const of = (name: string): Percentiles => timeline.percentiles(name);
  return { live: of("live"), late: of("late"), confirm: of("confirm") };
}

function publicationsOf(timeline: Timeline, rows: readonly Row[]): Report["publications"] {
  const seconds = Math.max(rows.filter(({ phase }) => phase === "load").length, 1);
  const [published, delivered] = [timeline.count("published"), timeline.count("delivered")];
  return {
    published,
    confirmed: timeline.count("confirmed"),
    unconfirmed: timeline.codes("unconfirmed"),
    repeats: timeline.count("repeats"),
    delivered,
    perSecond: Math.round(published / seconds),
    deliveredPerSecond: Math.round(delivered / seconds),
  };
}

function connectionsOf(timeline: Timeline): Report["connections"] {
  return {
    connect: timeline.percentiles("connect"),
    reconnect: timeline.percentiles("reconnect"),
    cut: timeline.count("cut"),
    stalled: timeline.count("stalled"),
    lost: timeline.codes("lost"),
    refused: timeline.codes("refused"),
    closings: timeline.codes("closing"),
    reading: timeline.gauge("reading"),
  };
}

function problemsOf(
  plan: Report["plan"],
  { publications }: Pick<Report, "publications">,
  timeline: Timeline,
): string[] {
  const problems: string[] = [];
  const unsent = timeline.count("unsent");
  const reasons = Object.entries(publications.unconfirmed).map(([code, count]) => `${code} × ${count}`);
  if (plan.scenario.load.type !== "none" && publications.confirmed === 0)
    problems.push(`no publication was confirmed: ${reasons.join(", ") || "no answer"}`);
  if (unsent > 0)
    problems.push(`${unsent} publications were never sent: the target could not keep up with the schedule`);
  return problems;
}

/** One threshold and its result. */
interface ThresholdCheck {
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
function checkAll(scenario: Scenario, measured: Measured): ThresholdCheck[] {
  const limits = Object.entries(scenario.thresholds) as [keyof Thresholds, number | undefined][];
  return limits.flatMap(([name, limit]) => {
    if (limit === undefined) return [];
    const value = values[name](measured, scenario);
    return [{ name, limit, value, passed: value <= limit }];
  });
}
