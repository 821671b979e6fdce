import { InvalidArgumentError, Option, type Command } from "commander";
import type { Host } from "./host.ts";
import type { LoadtestOptions } from "./loadtest.ts";

/** What an option of the command line changes in the scenario; each is a path of it. */
const overrides = [
  ["--readers <count>", "number of virtual clients", "readers.count", aWhole],
  [
    "--clients <kinds>",
    "client implementations and their shares, such as lean=8,stock=1,tidegate=1",
    "readers.clients",
    shares,
  ],
  ["--connect-rate <n>", "new connections per second", "readers.connectPerSecond", aNumber],
  ["--channels <count>", "number of channels or leaderboards", "channels.count", aWhole],
  ["--per-reader <count>", "channels per client", "channels.perReader", aWhole],
  ["--prefix <name>", "prefix of the channel names", "channels.prefix", String],
  ["--rate <n>", "publications per second", "load.perSecond", aNumber],
  ["--bytes <count>", "size of each publication's data", "load.bytes", aWhole],
  ["--duration <seconds>", "how long to publish", "durationSeconds", aNumber],
  ["--settle <seconds>", "maximum wait for missing publications at the end", "settleSeconds", aNumber],
  ["--max-p50 <ms>", "fail if the median latency is higher", "thresholds.p50Ms", aNumber],
  ["--max-p99 <ms>", "fail if the p99 latency is higher", "thresholds.p99Ms", aNumber],
  ["--max-p999 <ms>", "fail if the p99.9 latency is higher", "thresholds.p999Ms", aNumber],
  ["--max-reconnect-p95 <ms>", "fail if the p95 of reconnecting is higher", "thresholds.reconnectP95Ms", aNumber],
  ["--max-loss <count>", "fail if more publications are lost", "thresholds.lost", aWhole],
  ["--max-repeats <count>", "fail if more publications arrive twice", "thresholds.repeated", aWhole],
  ["--max-reordered <count>", "fail if more publications arrive out of order", "thresholds.reordered", aWhole],
  ["--max-never-subscribed <count>", "fail if more readers never subscribed", "thresholds.neverSubscribed", aWhole],
  ["--max-disconnected <count>", "fail if more readers are disconnected at the end", "thresholds.disconnected", aWhole],
  [
    "--max-feed-ratio <n>",
    "fail if nodes read more from Redis than their readers need, by this ratio",
    "thresholds.feedRatio",
    aNumber,
  ],
] as const;

const examples = `
Examples:
  tidegate loadtest fan-out --readers 500
  tidegate loadtest kill --url http://10.0.0.1:3000 http://10.0.0.2:3000 --kill-command "ssh 10.0.0.1 pkill -9 node"
  tidegate loadtest jitter --show > mine.json && tidegate loadtest mine.json --max-p99 50
See docs/loadtest.md.`;

export function addLoadtest(program: Command, host: Host, finish: (code: number) => void): void {
  const command = program
    .command("loadtest")
    .argument("[scenario]", "a built-in scenario, or a file with one (default: fan-out)")
    .description("load-test a gateway or a plain Socket.IO server and verify every delivery (default: fan-out)")
    .addHelpText("after", examples);
  addWhere(command);
  addNodes(command);
  for (const [flags, words, path, parse] of overrides)
    command.addOption(new Option(flags, words).argParser((text) => ({ path, value: parse(text) })));
  addOutput(command);
  command.action(async (scenario: string | undefined, options: LoadtestOptions) => {
    // Loaded only here: nothing else needs virtual clients.
    const { loadtest } = await import("./loadtest.ts");
    finish(await loadtest(host, scenario ?? "fan-out", options));
  });
}

function addWhere(command: Command): void {
  command
    .option("--url <urls...>", "URLs of the nodes (default: localhost, port PORT or 3000)")
    .addOption(
      new Option("--target <what>", "kind of server under test").choices(["gateway", "plain"]).default("gateway"),
    )
    .option("--path <path>", "Socket.IO path of the server", "/socket.io/")
    .option(
      "--api-key <secret>",
      "API key for creating sessions and publishing (default: the first in API_KEYS, or the development key)",
    )
    .option("--token <token>", "token for all clients, instead of creating sessions")
    .option("--token-file <file>", "file of tokens, one per line, used in turn instead of creating sessions")
    .option("--workers <count>", "client processes, plus one that publishes (default: half the cores)", aWhole)
    .option("--seed <number>", "seed of the random numbers; the same seed repeats a run", aWhole, 1);
}

function addNodes(command: Command): void {
  command
    .option("--metrics <urls...>", "URLs of the nodes' /metrics, if they differ from --url")
    .option("--node-pid <pids...>", "local node processes whose CPU and memory to record", pids)
    .option("--kill-pid <pids...>", "local processes that the scenario may kill with SIGKILL, one at a time", pids)
    .option("--kill-command <command>", "command to run when the scenario kills a node")
    .option("--drain-pid <pids...>", "local processes that the scenario may drain with SIGTERM, one at a time", pids)
    .option("--drain-command <command>", "command to run when the scenario drains a node");
}

function addOutput(command: Command): void {
  command
    .option("--report <folder>", "directory for the JSON and HTML reports", "loadtest-reports")
    .option("--plain", "print plain lines instead of progress bars")
    .option("--list", "list the built-in scenarios and exit")
    .option("--show", "print the scenario as JSON and exit");
}

function aWhole(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a whole number.");
}

/** Signals to process 0 reach the own group. */
function pids(text: string, before: number[] = []): number[] {
  if (/^[1-9]\d{0,9}$/.test(text)) return [...before, Number(text)];
  throw new InvalidArgumentError("must be the id of a process.");
}

function aNumber(text: string): number {
  if (/^\d{1,10}(\.\d{1,6})?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a number.");
}

/** Kinds that are not listed get a share of 0, overriding the scenario. */
function shares(text: string): Record<string, number> {
  const parts = text.split(",").map((part) => part.split("="));
  const named = parts.map(([kind = "", share = "1"]) => [kind, aNumber(share)] as const);
  return { lean: 0, stock: 0, tidegate: 0, ...Object.fromEntries(named) };
}
