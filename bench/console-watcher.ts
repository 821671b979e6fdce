/**
 * What somebody who watches costs a node with many connections: CPU in windows without anybody, with the overview open, and with
 * the overview, a search for connections and a live trace open, taking turns. Connections are idle except for heartbeats, so
 * that what a watcher adds is not lost in other work.
 *
 *   node bench/console-watcher.ts [connections] [rounds]      writes bench/results/console-watcher.md
 */
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../scripts/needs.ts";
import { Load } from "./support/load.ts";
import { cpuMicros, machine, median, skip } from "./support/machine.ts";
import { startTidegate, type Tidegate } from "./support/measured-servers.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";

const connections = Number(process.argv[2] ?? 10_000);
const rounds = Number(process.argv[3] ?? 4);
const windowMs = 4_000;
/** V8 still tidies up after the connections. */
const settleMs = 15_000;
const operator = "operator-secret-of-the-bench-longer-than-32-bytes";

type Watch = (node: Tidegate) => (() => void)[];

const watches: Readonly<Record<string, Watch>> = {
  nobody: () => [],
  "the overview": (node) => [repeat(2_000, () => ask(node, "GET", "overview"))],
  "the overview, a search and a trace": (node) => [
    repeat(2_000, () => ask(node, "GET", "overview")),
    repeat(2_000, () => ask(node, "GET", "connections?limit=50&transport=websocket")),
    trace(node),
  ],
};

const program = compiled("load");
if (program === undefined) skip("console-watcher", "there is no C compiler for its load client");
else if (!needs.redis.isInstalled()) skip("console-watcher", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const node = await startTidegate({ env: { OPERATORS: `bench:${operator}:admin` } });
  const tokens = await node.signIn(connections + 1);
  const auth = tokens.map((token) => JSON.stringify({ token }));
  const subscribe = '421["subscribe",{"channel":"bench:0"}]';
  const load = await Load.connect(loadProgram, node, connections, { mode: "sio", auth, subscribe });
  const shares = new Map(Object.keys(watches).map((name) => [name, [] as number[]]));
  try {
    await pause(settleMs);
    for (let round = 0; round < rounds; round++)
      for (const [name, watch] of Object.entries(watches)) shares.get(name)?.push(await shareOf(node, watch));
    writeResult("console-watcher", report(shares));
  } finally {
    await load.stop();
    await node.stop();
  }
}

/** CPU of the node in cores while somebody watches. */
async function shareOf(node: Tidegate, watch: Watch): Promise<number> {
  const stops = watch(node);
  // The first answers are past.
  await pause(500);
  const [before, startedAt] = [cpuMicros(node.pid), performance.now()];
  await pause(windowMs);
  const share = (cpuMicros(node.pid) - before) / ((performance.now() - startedAt) * 1_000);
  for (const stop of stops) stop();
  return share;
}

function report(shares: ReadonlyMap<string, readonly number[]>): string {
  const idle = shares.get("nobody") as readonly number[];
  const rows = [...shares].map(([name, all]) => [
    name,
    median(all.map((share, round) => share / (idle[round] as number))).toFixed(3),
    `${(median(all.map((share, round) => share - (idle[round] as number))) * 100).toFixed(2)} %`,
    `${(median(all) * 100).toFixed(1)} %`,
  ]);
  return [
    "# A watcher of the console",
    "",
    `${machine()}; ${connections} connections over WebSocket on one node, idle except for heartbeats;`,
    `${rounds} windows of ${windowMs / 1_000} s each. CPU in shares of one core.`,
    "",
    table(["watching", "÷ nobody", "more than nobody", "CPU of the node"], rows),
  ].join("\n");
}

/** A trace of a user who is connected, read every second. */
function trace(node: Tidegate): () => void {
  const started = ask(node, "POST", "traces", { userId: "user-1", seconds: 60 }) as Promise<{ traceId: string }>;
  const stop = repeat(1_000, async () => ask(node, "GET", `traces/${(await started).traceId}`));
  return () => {
    stop();
    started
      .then(({ traceId }) => ask(node, "DELETE", `traces/${traceId}`))
      .catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  };
}

async function ask({ port }: Tidegate, method: string, path: string, body?: object): Promise<unknown> {
  const headers = { authorization: `Bearer ${operator}`, "content-type": "application/json" };
  const url = `http://127.0.0.1:${port}/v1/operator/${path}`;
  const response = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** Acts at once and then every `everyMs`. */
function repeat(everyMs: number, act: () => Promise<unknown>): () => void {
  const run = (): void => void act().catch((error: unknown) => process.stderr.write(`${String(error)}\n`));
  run();
  const timer = setInterval(run, everyMs);
  return () => clearInterval(timer);
}
