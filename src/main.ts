#!/usr/bin/env node
import { runCommandLine } from "./cli/command-line.ts";
import { unsupportedNodeMessage } from "./runtime/version.ts";

const unsupported = unsupportedNodeMessage(process.versions.node);
if (unsupported !== undefined) {
  process.stderr.write(`${unsupported}\n`);
  process.exit(78);
}

// By default Node opens its inspector on this signal.
if (process.env["NODE_ENV"] === "production") process.on("SIGUSR1", () => undefined);

// Node ends with a stack trace if whoever reads the output has left, as after `| head`, and nobody listens.
const outputClosed = new EventTarget();
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    if (stream === process.stdout) outputClosed.dispatchEvent(new Event("close"));
  });

/** The one place that touches the process: its variables, signals, stray errors and end. */
const code = await runCommandLine(process.argv.slice(2), {
  env: process.env,
  isTerminal: process.stdout.isTTY,
  print: (text) => void process.stdout.write(`${text}\n`),
  printError: (text) => void process.stderr.write(`${text}\n`),
  onSignal(listener) {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => listener(signal));
  },
  onOutputClosed: (listener) => outputClosed.addEventListener("close", listener),
  onStrayError(listener) {
    process.on("uncaughtException", (error) => listener("exception", error));
    process.on("unhandledRejection", (reason) => listener("rejection", reason));
  },
  exit: (exitCode) => process.exit(exitCode),
});
process.exit(code);
