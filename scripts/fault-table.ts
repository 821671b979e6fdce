/**
 * Converts the report of the fault tests into the table of docs/failures.md, one row per fault and topology over all
 * seeds:
 *
 *   FAULT_REPORT=/tmp/faults.jsonl npm run test:faults; node scripts/fault-table.ts /tmp/faults.jsonl
 */
import { readFileSync } from "node:fs";
import type { Verdict } from "../test/support/history-checker.ts";

/** A line of the report that `test/support/faults.ts` writes. */
type Run = Verdict & { test: string; topology: string; readers: number; flowingAgainMs: number };

const headings = [
  "fault",
  "topology",
  "runs",
  "readers",
  "acknowledged",
  "lost",
  "repeated",
  "reordered",
  "gaps not reported",
  "gaps reported",
  "flowing again, ms",
];

const files = process.argv.slice(2);
if (files.length === 0) {
  process.stderr.write("Which file? FAULT_REPORT names it when the tests run.\n");
  process.exit(64);
}
const lines = files.flatMap((file) => readFileSync(file, "utf8").split("\n")).filter((line) => line !== "");
const runs = lines.map((line) => JSON.parse(line) as Run);
const rows = [...Map.groupBy(runs, (run) => `${faultOf(run)}|${run.topology}`).values()].map(cellsOf);
const table = [headings, headings.map(() => "---"), ...rows.toSorted(byFault)];
process.stdout.write(`${table.map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`);

/** The test's name without the parts that are in other columns. */
function faultOf({ test }: Run): string {
  return test.replaceAll(/ \(seed \d+\)|,? on (?:single|sentinel|cluster)/g, "").replaceAll(" > ", ": ");
}

/** Sums over the runs, and their maximum. */
function cellsOf(same: Run[]): string[] {
  const [first] = same as [Run, ...Run[]];
  const sum = (figure: (run: Run) => number): string =>
    same.reduce((total, run) => total + figure(run), 0).toLocaleString("en");
  const most = (figure: (run: Run) => number): string => Math.max(...same.map(figure)).toLocaleString("en");
  return [
    faultOf(first),
    first.topology,
    `${same.length}`,
    most(({ readers }) => readers),
    sum(({ acknowledged }) => acknowledged),
    sum(({ lost }) => lost),
    sum(({ repeated, duplicated }) => repeated + duplicated),
    sum(({ reordered }) => reordered),
    sum(({ unreported }) => unreported),
    sum(({ reported }) => reported),
    most(({ flowingAgainMs }) => flowingAgainMs),
  ];
}

function byFault([a = "", aOn = ""]: string[], [b = "", bOn = ""]: string[]): number {
  const order = ["single", "sentinel", "cluster"];
  return a === b ? order.indexOf(aOn) - order.indexOf(bOn) : a < b ? -1 : 1;
}
