import { availableParallelism } from "node:os";
import { version } from "../../runtime/version.ts";
import type { Percentiles } from "../histogram.ts";
import type { Verdict } from "../judge/verdict.ts";
import { labNow, type Plan } from "../plan.ts";
import type { FeedRatio } from "../run/feed-ratio.ts";
import type { WatchedNode } from "../run/node-watch.ts";
import type { Row, Timeline } from "../run/timeline.ts";
import { checkAll, type Check } from "./checks.ts";
import { summarizeNode, type NodeSummary } from "./nodes.ts";
import { judgeGenerator, type Generator } from "./generator.ts";

/** Something that happened to the run. */
export interface Happening {
  /** Epoch milliseconds. */
  at: number;
  what: string;
}

/** Everything a run has to say, as `report.json` holds it. Times are epoch milliseconds, durations milliseconds. */
export interface Report {
  version: string;
  /** Every check was kept, nothing went wrong, and the run was not interrupted. */
  passed: boolean;
  wasInterrupted: boolean;
  startedAt: number;
  endedAt: number;
  /** All that is needed to run it again; the API key is left out. */
  plan: Omit<Plan, "apiKey">;
  checks: Check[];
  /** Why the figures are not what was asked for. */
  problems: string[];
  verdict: Verdict;
  latency: {
    /** From the moment a publication was due to its receipt, by readers that were reading then. */
    live: Percentiles;
    /** The same for what was missed and brought back, or came to a reader that had stopped reading. */
    late: Percentiles;
    /** From the moment it was due to its confirmation. */
    confirm: Percentiles;
  };
  publications: {
    published: number;
    confirmed: number;
    /** By reason. */
    unconfirmed: Record<string, number>;
    /** Calls that were made again. */
    repeats: number;
    delivered: number;
    perSecond: number;
    deliveredPerSecond: number;
  };
  connections: {
    /** From the first attempt to reading. */
    connect: Percentiles;
    /** From a lost connection to reading again. */
    return: Percentiles;
    cut: number;
    stalled: number;
    lost: Record<string, number>;
    refused: Record<string, number>;
    closings: Record<string, number>;
    /** Reading at the end. */
    reading: number;
  };
  feed: FeedRatio | undefined;
  nodes: NodeSummary[];
  generator: Generator;
  happenings: Happening[];
  /** By the second. */
  timeline: Row[];
  nodeSamples: WatchedNode[];
}

export interface Findings {
  plan: Plan;
  startedAt: number;
  wasInterrupted: boolean;
  timeline: Timeline;
  nodes: readonly WatchedNode[];
  happenings: readonly Happening[];
  /** Of the generator, the lab itself left out. */
  processes: number;
  verdict: Verdict;
  feed: FeedRatio | undefined;
}

export function createReport(findings: Findings): Report {
  const { timeline, wasInterrupted, startedAt, happenings, nodes, verdict, feed } = findings;
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
    endedAt: labNow(),
    plan,
    checks,
    problems,
    ...measured,
    nodes: nodes.map((node) => summarizeNode(node, rows)),
    generator: judgeGenerator({ timeline, rows, cores, processes: findings.processes, live: measured.latency.live }),
    happenings: [...happenings],
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
    return: timeline.percentiles("return"),
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
