/** Prints vitest's JSON report as one plain line: `N passed, N failed, N skipped`. */
import { readFileSync } from "node:fs";

interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
}

const [file = "coverage/tests.json"] = process.argv.slice(2);
const report = JSON.parse(readFileSync(file, "utf8")) as Report;
const skipped = report.numPendingTests + report.numTodoTests;
process.stdout.write(`${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped\n`);
