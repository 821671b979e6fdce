#!/usr/bin/env node
import { runCommandLine } from "./cli/command-line.ts";
import { complaintAbout } from "./cli/needed-node.ts";

const complaint = complaintAbout(process.versions.node);
if (complaint !== undefined) {
  process.stderr.write(`${complaint}\n`);
  process.exit(78);
}

// Node would open its inspector on this signal, to whoever may send one.
if (process.env["NODE_ENV"] === "production") process.on("SIGUSR1", () => undefined);

/** The one place that touches the process: its variables, signals, stray errors and end. */
const code = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  isTerminal: process.stdout.isTTY,
  print: (text) => void process.stdout.write(`${text}\n`),
  complain: (text) => void process.stderr.write(`${text}\n`),
  onSignal(listener) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => listener(signal));
  },
  onStrayError(listener) {
    process.on("uncaughtException", (error) => listener("exception", error));
    process.on("unhandledRejection", (reason) => listener("rejection", reason));
  },
  exit: (exitCode) => process.exit(exitCode),
});
process.exit(code);
