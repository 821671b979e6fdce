import type { Percentiles } from "../histogram.ts";
import type { Report } from "./report.ts";

/** The report for a terminal or a log. */
export function summarize(report: Report): string {
  const { plan, verdict, latency, publications, connections, feed, generator, problems, checks } = report;
  const lines = [
    `${plan.scenario.name}: ${wordOf(report)}`,
    `  publications  ${publications.confirmed} of ${publications.published} confirmed, ${publications.delivered} deliveries`,
    `  delivered     ${shareOf(verdict)}; lost ${verdict.lost} (reported ${verdict.reported}), repeated ${verdict.repeated}, reordered ${verdict.reordered}`,
    `  latency       live ${percentilesOf(latency.live)}`,
    ...(latency.late.count > 0 ? [`                recovered ${percentilesOf(latency.late)}`] : []),
    `  connections   ${connections.reading} subscribed; connect ${percentilesOf(connections.connect)}`,
    ...(connections.reconnect.count > 0 ? [`                reconnect ${percentilesOf(connections.reconnect)}`] : []),
    ...(feed === undefined
      ? []
      : [`  from Redis    ${feed.read} read, ${feed.needed} needed: ${feed.ratio.toFixed(3)}`]),
    ...(verdict.boards === 0
      ? []
      : [`  boards        ${verdict.boards - verdict.wrongBoards} of ${verdict.boards} exact`]),
    ...codesOf("refused", connections.refused),
    ...generator.warnings.map((warning) => `  generator     ! ${warning}`),
    ...problems.map((problem) => `  problem       ${problem}`),
    ...checks
      .filter(({ passed }) => !passed)
      .map(({ name, value, limit }) => `  failed        ${name} is ${round(value)}, at most ${limit}`),
    ...verdict.examples.slice(0, 5).map((example) => `  for example   ${example}`),
  ];
  return lines.join("\n");
}

export function wordOf({ passed, wasInterrupted }: Pick<Report, "passed" | "wasInterrupted">): string {
  if (wasInterrupted) return "interrupted";
  return passed ? "passed" : "FAILED";
}

/** In per cent; never rounded up to 100. */
export function shareOf({ expected, arrived }: Pick<Report["verdict"], "expected" | "arrived">): string {
  if (expected === 0) return "nothing was expected";
  const share = arrived === expected ? "100" : (Math.floor((arrived / expected) * 1e5) / 1e3).toFixed(3);
  return `${share} % of ${expected}`;
}

function percentilesOf({ count, p50, p90, p99, p999, max }: Percentiles): string {
  if (count === 0) return "–";
  return `p50 ${round(p50)}, p90 ${round(p90)}, p99 ${round(p99)}, p99.9 ${round(p999)}, max ${round(max)} ms`;
}

function codesOf(name: string, codes: Record<string, number>): string[] {
  const all = Object.entries(codes).map(([code, count]) => `${code} × ${count}`);
  return all.length === 0 ? [] : [`  ${name.padEnd(13)} ${all.join(", ")}`];
}

const round = (value: number): string => String(Math.round(value * 10) / 10);
