/**
 * CPU of a node per handshake over WebSocket: Tidegate with token, blacklist, session, limits, the user's channel and
 * the record for coming back, over stock Socket.IO that lets everybody in. Between them stands stock Socket.IO with
 * what an application adds by hand to know its users. All are up; in each round each takes so many connections in turn,
 * and the median of the rounds' ratios counts. `node bench/handshake.ts [rounds] [connections]`
 *
 * Warm and cold: V8 compiles for the first thousands of handshakes, which takes several times as long as they do. So the
 * very first round of each server is reported by itself, and further rounds are not counted until it is over.
 *
 * Idle: what a server does anyway, such as renewing its lease, is no part of a handshake. It is measured before each round
 * and subtracted.
 */
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../scripts/needs.ts";
import { Load, type ClientScript } from "./support/load.ts";
import { cpuMicros, machine, median, skip } from "./support/machine.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";
import { startStockAuthenticated } from "./support/stock-authenticated.ts";
import { startStock, startTidegate, type MeasuredServer } from "./support/measured-servers.ts";

const rounds = Number(process.argv[2] ?? 8);
const connections = Number(process.argv[3] ?? 1_000);

/** Handshakes of each server before the first that counts. */
const warmUp = 5_000;

/** Milliseconds for work after `ready`, and after disconnecting: unused channels are kept for five seconds. */
const settleMs = 400;
const forgetMs = 6_000;
const idleMs = 2_000;

/** A measured server, and its clients' script. */
interface Row {
  name: string;
  server: MeasuredServer & { redisPid?: number };
  script: ClientScript;
  /** Of the first connections of all. */
  cold?: Cost;
  costs: Cost[];
}

/** Microseconds of CPU: per connection, or since the start of a process. */
interface Cost {
  node: number;
  redis: number;
}

const program = compiled("load");
if (program === undefined) skip("the handshake", "there is no C compiler for its load client");
else if (!needs.redis.isInstalled()) skip("the handshake", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const rows = [await stockRow(), await stockAuthenticatedRow(), await tidegateRow()];
  try {
    for (let round = -Math.ceil(warmUp / connections); round < rounds; round++) {
      const idle = await idleCosts(rows);
      for (const row of rows) {
        const cost = await take(loadProgram, row, idle.get(row) as Cost);
        row.cold ??= cost;
        if (round >= 0) row.costs.push(cost);
      }
      await pause(forgetMs);
    }
    writeResult("handshake", report(rows));
  } finally {
    for (const { server } of rows) await server.stop();
  }
}

async function stockRow(): Promise<Row> {
  const auth = Array.from({ length: connections + 1 }, () => "");
  return { name: "stock, no authentication", server: await startStock(), script: { mode: "sio", auth }, costs: [] };
}

async function stockAuthenticatedRow(): Promise<Row> {
  const server = await startStockAuthenticated();
  return { name: server.name, server, script: scriptWith(await server.signIn(connections + 1)), costs: [] };
}

async function tidegateRow(): Promise<Row> {
  const server = await startTidegate();
  return { name: server.name, server, script: scriptWith(await server.signIn(connections + 1)), costs: [] };
}

function scriptWith(tokens: readonly string[]): ClientScript {
  return { mode: "sio", auth: tokens.map((token) => JSON.stringify({ token })) };
}

/** Microseconds a millisecond that each server takes without connections. */
async function idleCosts(rows: readonly Row[]): Promise<Map<Row, Cost>> {
  const before = rows.map(({ server }) => spent(server));
  await pause(idleMs);
  return new Map(rows.map((row, index) => [row, costSince(before[index] as Cost, row, idleMs)]));
}

async function take(loadProgram: string, row: Row, idle: Cost): Promise<Cost> {
  const [before, startedAt] = [spent(row.server), performance.now()];
  const load = await Load.connect(loadProgram, row.server, connections, row.script);
  await pause(settleMs);
  const whole = costSince(before, row, connections + 1);
  const share = (performance.now() - startedAt) / (connections + 1);
  await load.stop();
  return { node: whole.node - idle.node * share, redis: whole.redis - idle.redis * share };
}

function costSince(before: Cost, { server }: Row, parts: number): Cost {
  const after = spent(server);
  return { node: (after.node - before.node) / parts, redis: (after.redis - before.redis) / parts };
}

function spent({ pid, redisPid }: Row["server"]): Cost {
  return { node: cpuMicros(pid), redis: redisPid === undefined ? 0 : cpuMicros(redisPid) };
}

function report(rows: readonly Row[]): string {
  return [
    "# Handshake",
    "",
    `${machine()}; ${connections} connections over WebSocket, 64 at a time, ${rounds} rounds.`,
    "CPU (user + system) of the server's whole process, and of its Redis, for each, less what they take without clients.",
    `Cold: the first ${connections} connections of a new process. All others follow after ${warmUp}. What each does:`,
    "",
    "- stock Socket.IO 4.8.4 alone lets everybody in; it is what the ratio is to.",
    "- stock with token and session verifies a JWT, reads a session from Redis, joins the user's room and greets, with the",
    "  Redis adapter between servers: what an application writes by hand. It counts no connections, does not know of",
    "  revoked tokens, and cannot recover.",
    "- Tidegate's handshakes are complete: token, revoked tokens, session, limits, a seat among the user's connections on",
    "  all nodes, the user's channel followed from a known position, the record kept with which the client can come back",
    "  to any node.",
    "",
    table(
      ["", "÷ stock", "µs, node", "µs, Redis", "÷ stock, cold", "µs, node, cold"],
      rows.map((row) => cellsOf(row, rows[0] as Row)),
    ),
  ].join("\n");
}

function cellsOf({ name, server, costs, cold }: Row, stock: Row): string[] {
  const ratios = costs.map(({ node }, round) => node / (stock.costs[round] as Cost).node);
  const of = (part: keyof Cost): string => median(costs.map((cost) => cost[part])).toFixed(0);
  const [first, firstOfStock] = [cold?.node ?? Number.NaN, stock.cold?.node ?? Number.NaN];
  const warm = [median(ratios).toFixed(2), of("node"), server.redisPid === undefined ? "" : of("redis")];
  return [name, ...warm, (first / firstOfStock).toFixed(2), first.toFixed(0)];
}
