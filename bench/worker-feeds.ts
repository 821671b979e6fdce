/**
 * A hot channel on one machine with several workers: each has its own subscription, so that Redis sends a copy to each, or
 * the feed hub of the primary process has it and hands every message on (WORKER_FEED). CPU of Redis' main thread and of all
 * processes that are fed, per publication; both take turns in each round, and medians count. Fan-out to clients is the same
 * in both.
 *
 *   node bench/worker-feeds.ts [workers,workers,…] [publications a slice] [rounds]      writes bench/results/worker-feeds.md
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { cpuMicros, ended, machine, median, startOn } from "./support/machine.ts";
import { redisCpuUs } from "./support/redis-cost.ts";
import { table, writeResult } from "./support/results.ts";

const sizes = (process.argv[2] ?? "1,4,16").split(",").map(Number);
const publications = Number(process.argv[3] ?? 3_000);
const rounds = Number(process.argv[4] ?? 3);
/** Of one tick, every five milliseconds: 2,000 a second. */
const perTick = 10;
const message = "x".repeat(400);
const script = fileURLToPath(new URL("./servers/feed-worker.ts", import.meta.url));

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
await redis.ready(5_000);
const folder = await mkdtemp(join(tmpdir(), "tidegate-feeds-"));

interface Cost {
  redis: number;
  processes: number;
}

/** Processes that read a channel of their own; a hub counts no messages. */
interface Setup {
  channel: string;
  workers: ChildProcess[];
  /** The workers and their hub. */
  processes: ChildProcess[];
}

try {
  const rows: string[][] = [];
  for (const size of sizes) rows.push(...(await rowsOf(size)));
  writeResult("worker-feeds", report(rows));
} finally {
  await redis.close();
  await server.stop();
  await rm(folder, { recursive: true });
}

async function rowsOf(size: number): Promise<string[][]> {
  const setups = { own: await startOwn(size), shared: await startShared(size) };
  const costs: Record<keyof typeof setups, Cost[]> = { own: [], shared: [] };
  for (let round = -1; round < rounds; round += 1)
    for (const name of ["own", "shared"] as const) {
      const cost = await costOf(setups[name]);
      // The first round warms up.
      if (round >= 0) costs[name].push(cost);
    }
  await Promise.all(Object.values(setups).flatMap(({ processes }) => processes.map((child) => ended(child))));
  const [own, shared] = [costs.own, costs.shared].map(medians) as [Cost, Cost];
  return [
    [`${size}`, "own", ...cells(own, own)],
    [`${size}`, "shared", ...cells(shared, own)],
  ];
}

async function startOwn(size: number): Promise<Setup> {
  const channel = `own-${size}`;
  const words = [process.execPath, script, "own", server.url, channel];
  const workers = Array.from({ length: size }, () => startOn(0, words));
  await Promise.all(workers.map(ready));
  return { channel, workers, processes: workers };
}

async function startShared(size: number): Promise<Setup> {
  const [channel, path] = [`shared-${size}`, join(folder, `hub-${size}`)];
  const words = [server.url, channel, path];
  const hub = startOn(0, [process.execPath, script, "hub", ...words]);
  await ready(hub);
  const workers = Array.from({ length: size }, () => startOn(0, [process.execPath, script, "shared", ...words]));
  await Promise.all(workers.map(ready));
  return { channel, workers, processes: [hub, ...workers] };
}

async function ready({ stdout }: ChildProcess): Promise<void> {
  await once(stdout as NodeJS.ReadableStream, "data");
}

async function received({ stdin, stdout }: ChildProcess): Promise<number> {
  stdin?.write("\n");
  const [line] = (await once(stdout as NodeJS.ReadableStream, "data")) as [Buffer];
  return Number(line.toString());
}

/** Per publication, in microseconds. */
async function costOf({ channel, workers, processes }: Setup): Promise<Cost> {
  const cpu = () => processes.reduce((sum, { pid }) => sum + cpuMicros(pid as number), 0);
  const before = await Promise.all(workers.map(received));
  const [redisBefore, processesBefore] = [await redisCpuUs(commands), cpu()];
  for (let sent = 0; sent < publications; sent += perTick) {
    await Promise.all(Array.from({ length: perTick }, () => commands.spublish(channel, message)));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await all(workers, before);
  return {
    redis: ((await redisCpuUs(commands)) - redisBefore) / publications,
    processes: (cpu() - processesBefore) / publications,
  };
}

/** Resolves when every worker has everything. */
async function all(workers: readonly ChildProcess[], before: readonly number[]): Promise<void> {
  for (;;) {
    const counts = await Promise.all(workers.map(received));
    if (counts.every((count, index) => count - (before[index] as number) >= publications)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function medians(costs: readonly Cost[]): Cost {
  return {
    redis: median(costs.map(({ redis: micros }) => micros)),
    processes: median(costs.map(({ processes }) => processes)),
  };
}

function cells(cost: Cost, base: Cost): string[] {
  const sum = ({ redis: one, processes }: Cost): number => one + processes;
  const ratio = (value: number, of: number): string => (value / of).toFixed(2);
  return [
    cost.redis.toFixed(1),
    cost.processes.toFixed(1),
    ratio(cost.redis, base.redis),
    ratio(cost.processes, base.processes),
    ratio(sum(cost), sum(base)),
  ];
}

function report(rows: string[][]): string {
  const heads = [
    "workers",
    "feed",
    "Redis, µs",
    "processes, µs",
    "ratio, Redis",
    "ratio, processes",
    "ratio, together",
  ];
  return [
    "# One feed for all workers of a machine",
    "",
    `${machine()}; ${publications} publications of ${message.length} bytes a slice, ${perTick} in 5 ms, ${rounds} rounds.`,
    "CPU per publication of Redis' main thread, and of all workers and the hub together.",
    "",
    table(heads, rows),
  ].join("\n");
}
