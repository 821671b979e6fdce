import { accessSync, constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { TargetRefused } from "../loadtest/api.ts";
import type { Plan, Target } from "../loadtest/plan.ts";
import { presetNames, readScenario, InvalidScenario } from "../loadtest/presets.ts";
import { renderHtml } from "../loadtest/report/html.ts";
import type { Report } from "../loadtest/report/report.ts";
import { summarize } from "../loadtest/report/summary.ts";
import type { EndMethods } from "../loadtest/run/faults.ts";
import { createBars, createLines } from "../loadtest/run/progress.ts";
import { runLoadTest } from "../loadtest/run/run-load-test.ts";
import type { Scenario } from "../loadtest/scenario.ts";
import { urlBelow } from "../runtime/url-below.ts";
import { CallError, checkAddress, CommandLineError, firstKey, ownAddress } from "./backend-calls.ts";
import { exitCodes, type Host } from "./host.ts";
import { onRequestToEnd } from "./signals.ts";

/** A change of the scenario. */
interface Override {
  path: string;
  value: unknown;
}

export interface LoadtestOptions extends Record<string, unknown> {
  url?: string[];
  target: Target;
  path: string;
  apiKey?: string;
  token?: string;
  tokenFile?: string;
  workers?: number;
  seed: number;
  metrics?: string[];
  nodePid?: number[];
  killPid?: number[];
  killCommand?: string;
  drainPid?: number[];
  drainCommand?: string;
  report: string;
  plain?: true;
  list?: true;
  show?: true;
}

/** Runs a load test, or prints scenarios. Resolves with the exit code. */
export async function loadtest(host: Host, name: string, options: LoadtestOptions): Promise<number> {
  try {
    if (options.list === true) return printScenarios(host);
    const scenario = fit(readScenario(name, overridesIn(options)), options.target);
    if (options.show === true) return print(host, JSON.stringify(scenario, null, 2));
    checkUsage(scenario, options);
    prepareReports(options.report);
    return await run(host, createPlan(host, scenario, options), options);
  } catch (error) {
    if (error instanceof TargetRefused) throw new CallError(error.message, { cause: error });
    throw error instanceof InvalidScenario ? new CommandLineError(error.message, { cause: error }) : error;
  }
}

/** A plain server does not know the project's client. */
function fit(scenario: Scenario, target: Target): Scenario {
  if (target === "gateway") return scenario;
  const clients = { ...scenario.readers.clients, tidegate: 0 };
  if ((clients.lean ?? 0) + (clients.stock ?? 0) === 0)
    throw new CommandLineError("--target: a plain server works only with lean or stock clients (see --clients)");
  return { ...scenario, readers: { ...scenario.readers, clients } };
}

function printScenarios(host: Host): number {
  for (const name of presetNames()) host.print(`${name.padEnd(16)} ${readScenario(name).description ?? ""}`);
  return exitCodes.fine;
}

function print(host: Host, text: string): number {
  host.print(text);
  return exitCodes.fine;
}

async function run(host: Host, plan: Plan, options: LoadtestOptions): Promise<number> {
  const interruption = new AbortController();
  onRequestToEnd(host, () => interruption.abort());
  const report = await runLoadTest({
    plan,
    tokens: tokensOf(options),
    nodes: { metrics: options.metrics ?? plan.addresses, pids: options.nodePid ?? [] },
    ending: endingOf(options),
    progress: host.isTerminal && options.plain !== true ? createBars(process.stderr) : createLines(host.print),
    signal: interruption.signal,
  });
  const files = writeReports(report, options.report);
  host.print(summarize(report));
  host.print(`  report        ${files.join(", ")}`);
  if (report.wasInterrupted) return exitCodes.interrupted;
  return report.passed ? exitCodes.fine : exitCodes.failed;
}

function createPlan(host: Host, scenario: Scenario, options: LoadtestOptions): Plan {
  const { target, path, seed, apiKey, url = [ownAddress(host.env)] } = options;
  return {
    scenario,
    target,
    ...placesOf(
      url.flatMap((text) => text.split(",")),
      path,
    ),
    workers: options.workers ?? Math.max(1, Math.floor(availableParallelism() / 2)),
    seed,
    run: Date.now().toString(36),
    apiKey: apiKey ?? firstKey(host.env),
  };
}

/** Nodes behind a proxy may be below a path, which must be the same for all of them. */
function placesOf(urls: readonly string[], path: string): Pick<Plan, "addresses" | "path"> {
  const addresses = urls.map(addressOf);
  const [below = path, ...others] = new Set(addresses.map((address) => urlBelow(address, path).pathname));
  if (others.length > 0) throw new CommandLineError("--url: all must have the same path");
  return { addresses, path: below };
}

function addressOf(text: string): string {
  return urlBelow(checkAddress(text), "/").href.replace(/\/$/, "");
}

function checkUsage({ load, faults }: Scenario, options: LoadtestOptions): void {
  const { target, workers = 1, token, tokenFile } = options;
  const hasTokens = token !== undefined || tokenFile !== undefined;
  if (workers < 1 || workers > 256) throw new CommandLineError("--workers: must be from 1 to 256");
  if (target === "plain" && load.type !== "publications" && load.type !== "none")
    throw new CommandLineError(`--target: a plain server does not support ${load.type}`);
  if (hasTokens && load.type === "orders")
    throw new CommandLineError("--token: the orders load creates its own users and cannot use given tokens");
  for (const what of ["kill", "drain"] as const) {
    const ends = endingOf(options)[what];
    if (faults.some((fault) => fault.do === what) && ends.pids.length === 0 && ends.command === undefined)
      throw new CommandLineError(`the scenario needs to ${what} a node; pass --${what}-pid or --${what}-command`);
  }
}

const endingOf = ({ killPid = [], killCommand, drainPid = [], drainCommand }: LoadtestOptions): EndMethods => ({
  kill: { pids: killPid, command: killCommand },
  drain: { pids: drainPid, command: drainCommand },
});

function tokensOf({ token, tokenFile }: LoadtestOptions): string[] {
  if (token !== undefined) return [token];
  if (tokenFile === undefined) return [];
  const tokens = readFileSync(tokenFile, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (tokens.length === 0) throw new CommandLineError(`--token-file: ${tokenFile} contains no tokens`);
  return tokens;
}

/** The options that change the scenario, as an object of its shape. */
function overridesIn(options: LoadtestOptions): object {
  const overrides: Record<string, unknown> = {};
  for (const option of Object.values(options)) {
    if (!isOverride(option)) continue;
    const [first = "", second] = option.path.split(".");
    if (second === undefined) overrides[first] = option.value;
    else overrides[first] = { ...(overrides[first] as object | undefined), [second]: option.value };
  }
  return overrides;
}

const isOverride = (option: unknown): option is Override =>
  typeof option === "object" && option !== null && "path" in option && "value" in option;

/** Before the run, whose results would be lost otherwise. */
function prepareReports(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new CommandLineError(`--report: ${(error as Error).message}`, { cause: error });
  }
}

/** Two files with the same base name; the HTML is self-contained. */
function writeReports(report: Report, folder: string): string[] {
  const date = new Date(report.startedAt).toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  const path = join(folder, `${report.plan.scenario.name}-${date}`);
  writeFileSync(`${path}.json`, `${JSON.stringify(report, null, 1)}\n`);
  writeFileSync(`${path}.html`, renderHtml(report));
  return [`${path}.json`, `${path}.html`];
}
