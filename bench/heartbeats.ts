/**
 * CPU of Redis' main thread for the heartbeats of clusters of many nodes, simulated by their scripts: as they are, and if each
 * listed all nodes. Both take turns in each round, and medians count.
 *
 *   node bench/heartbeats.ts [nodes,nodes,…] [rounds]      writes bench/results/heartbeats.md
 */
import { createControlStore, type ControlStore } from "../src/cluster/control-store.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { machine, median } from "./support/machine.ts";
import { table, writeResult } from "./support/results.ts";

const sizes = (process.argv[2] ?? "10,100,300,1000").split(",").map(Number);
const rounds = Number(process.argv[3] ?? 7);
const heartbeatsPerSecond = 2;
/** Of each slice: enough that Redis' own idle work does not count. */
const heartbeats = 2_000;

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
await redis.ready(5_000);

try {
  const rows: string[][] = [];
  for (const size of sizes) rows.push(await rowOf(size));
  writeResult("heartbeats", report(rows));
} finally {
  await redis.close();
  await server.stop();
}

async function rowOf(size: number): Promise<string[]> {
  const store = createControlStore({ commands, keys: createKeys(`bench-${size}`) });
  const names = Array.from({ length: size }, (_, n) => `node-${n}/mx2v64d3-5431d540`);
  const ids = await Promise.all(names.map(async (name) => (await store.heartbeat(name, undefined)).lastId));
  const changes: number[] = [];
  const lists: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const { version } = await store.heartbeat(names[0] as string, ids[0], true);
    const [change, list] = [await costOf(store, names, version), await costOf(store, names, "")];
    // The first round warms up.
    if (round === 0) continue;
    changes.push(change);
    lists.push(list);
  }
  return [`${size}`, ...[median(changes), median(lists)].flatMap((micros) => [micros.toFixed(1), share(micros, size)])];
}

/** Microseconds of Redis' main thread per heartbeat. */
async function costOf(store: ControlStore, names: readonly string[], version: string): Promise<number> {
  const before = await cpuMicros();
  for (let sent = 0; sent < heartbeats; sent += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        store.heartbeat(names[(sent + n) % names.length] as string, "0-0", true, version),
      ),
    );
  return ((await cpuMicros()) - before) / heartbeats;
}

async function cpuMicros(): Promise<number> {
  const info = await commands.info("cpu");
  const field = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return (field("used_cpu_sys_main_thread") + field("used_cpu_user_main_thread")) * 1_000_000;
}

/** Of one core, for all nodes. */
function share(micros: number, nodes: number): string {
  return `${((micros * nodes * heartbeatsPerSecond) / 10_000).toFixed(2)} %`;
}

function report(rows: string[][]): string {
  return [
    "# Heartbeats",
    "",
    `${machine()}; ${heartbeats} heartbeats a slice, ${rounds} rounds. Each node sends ${heartbeatsPerSecond} a second.`,
    "CPU of Redis' main thread; the share is of one core, for the heartbeats of all nodes together.",
    "",
    table(["nodes", "µs", "share", "µs, each listing all nodes", "share, each listing all nodes"], rows),
  ].join("\n");
}
