import { InvalidArgumentError, Option, type Command } from "commander";
import type { Host } from "./host.ts";
import type { LoadtestOptions } from "./loadtest.ts";

/** What an option of the command line changes in the scenario; each is a path of it. */
const overrides = [
  ["--readers <count>", "virtual clients", "readers.count", aWhole],
  ["--clients <kinds>", "which programs they are, such as lean=8,stock=1,tidegate=1", "readers.clients", shares],
  ["--connect-rate <n>", "clients that connect a second", "readers.connectPerSecond", aNumber],
  ["--channels <count>", "channels, or boards", "channels.count", aWhole],
  ["--per-reader <count>", "channels of each client", "channels.perReader", aWhole],
  ["--prefix <name>", "what the channels' names begin with", "channels.prefix", String],
  ["--rate <n>", "publications a second", "load.perSecond", aNumber],
  ["--bytes <count>", "size of a publication's data", "load.bytes", aWhole],
  ["--duration <seconds>", "length of the load", "durationSeconds", aNumber],
  ["--settle <seconds>", "longest wait for what is missing in the end", "settleSeconds", aNumber],
  ["--max-p50 <ms>", "fail above this latency", "thresholds.p50Ms", aNumber],
  ["--max-p99 <ms>", "fail above this latency", "thresholds.p99Ms", aNumber],
  ["--max-p999 <ms>", "fail above this latency", "thresholds.p999Ms", aNumber],
  ["--max-return-p95 <ms>", "fail where it takes longer to come back", "thresholds.returnP95Ms", aNumber],
  ["--max-loss <count>", "fail where more is lost", "thresholds.lost", aWhole],
  ["--max-repeats <count>", "fail where more comes twice", "thresholds.repeated", aWhole],
  ["--max-reordered <count>", "fail where more comes out of order", "thresholds.reordered", aWhole],
  ["--max-unread <count>", "fail where more readers never read", "thresholds.unread", aWhole],
  ["--max-away <count>", "fail where more readers are away in the end", "thresholds.away", aWhole],
  ["--max-feed-ratio <n>", "fail where nodes read more from Redis than is wanted", "thresholds.feedRatio", aNumber],
] as const;

const examples = `
Examples:
  tidegate loadtest fan-out --readers 500
  tidegate loadtest kill --url http://10.0.0.1:3000 http://10.0.0.2:3000 --kill-command "ssh 10.0.0.1 pkill -9 node"
  tidegate loadtest jitter --show > mine.json && tidegate loadtest mine.json --max-p99 50
See docs/loadtest.md.`;

export function addLoadtest(program: Command, host: Host, finish: (code: number) => void): void {
  const command = program
    .command("loadtest [scenario]")
    .description("put a gateway, or a plain Socket.IO server, under load and judge every delivery (default: fan-out)")
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
    .option("--url <urls...>", "addresses of the nodes (default: this machine, port PORT or 3000)")
    .addOption(new Option("--target <what>", "what is there").choices(["gateway", "plain"]).default("gateway"))
    .option("--path <path>", "where it listens for Socket.IO", "/socket.io/")
    .option(
      "--api-key <secret>",
      "for signing in and publishing (default: the first of API_KEYS, else the development key)",
    )
    .option("--token <token>", "for all clients, instead of signing in")
    .option("--token-file <file>", "tokens, one a line, used in turn instead of signing in")
    .option("--workers <count>", "processes that hold clients; one more publishes (default: half the cores)", aWhole)
    .option("--seed <number>", "the same seed, the same run", aWhole, 1);
}

function addNodes(command: Command): void {
  command
    .option("--metrics <urls...>", "where the nodes answer /metrics, if not at --url")
    .option("--node-pid <pids...>", "processes of this machine to watch: CPU and memory", wholes)
    .option("--kill-pid <pids...>", "processes that the scenario may end with SIGKILL, one each time", wholes)
    .option("--kill-command <command>", "runs where the scenario kills a node")
    .option("--drain-pid <pids...>", "processes that the scenario may end with SIGTERM, one each time", wholes)
    .option("--drain-command <command>", "runs where the scenario drains a node");
}

function addOutput(command: Command): void {
  command
    .option("--report <folder>", "where the reports go, as JSON and HTML", "loadtest-reports")
    .option("--plain", "plain lines instead of bars, as without a terminal")
    .option("--list", "print the scenarios there are, and do nothing else")
    .option("--show", "print the scenario as JSON, and do nothing else");
}

function aWhole(text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a whole number.");
}

const wholes = (text: string, before: number[] = []): number[] => [...before, aWhole(text)];

function aNumber(text: string): number {
  if (/^\d{1,10}(\.\d{1,6})?$/.test(text)) return Number(text);
  throw new InvalidArgumentError("must be a number.");
}

/** Kinds that are not named are left out, whatever the scenario says. */
function shares(text: string): Record<string, number> {
  const parts = text.split(",").map((part) => part.split("="));
  const named = parts.map(([kind = "", share = "1"]) => [kind, aNumber(share)] as const);
  return { lean: 0, stock: 0, tidegate: 0, ...Object.fromEntries(named) };
}
