/**
 * CPU of a node per handshake over WebSocket: Tidegate with token, blacklist, session, limits, the user's channel and
 * the record for coming back, over stock Socket.IO that lets everybody in. Between them stands stock Socket.IO with
 * what an application adds by hand to know its users. All are up; in each round each takes so many connections in turn,
 * and the median of the rounds' ratios counts. `node bench/handshake.ts [rounds] [connections]`
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

/** Milliseconds for work after `ready`, and after disconnecting: unused channels are kept for five seconds. */
const settleMs = 400;
const forgetMs = 6_000;

/** A measured server, and its clients' script. */
interface Row {
  name: string;
  server: MeasuredServer & { redisPid?: number };
  script: ClientScript;
  costs: Cost[];
}

/** Microseconds of CPU per connection. */
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
    // The first round is a warm-up.
    for (let round = -1; round < rounds; round++) {
      for (const { server, script, costs } of rows) {
        const cost = await take(loadProgram, server, script);
        if (round >= 0) costs.push(cost);
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

async function take(loadProgram: string, server: Row["server"], script: ClientScript): Promise<Cost> {
  const before = spent(server);
  const load = await Load.connect(loadProgram, server, connections, script);
  await pause(settleMs);
  const after = spent(server);
  await load.stop();
  const each = (part: keyof Cost): number => (after[part] - before[part]) / (connections + 1);
  return { node: each("node"), redis: each("redis") };
}

function spent({ pid, redisPid }: Row["server"]): Cost {
  return { node: cpuMicros(pid), redis: redisPid === undefined ? 0 : cpuMicros(redisPid) };
}

function report(rows: readonly Row[]): string {
  return [
    "# Handshake",
    "",
    `${machine()}; ${connections} connections over WebSocket, 64 at a time, ${rounds} rounds.`,
    "CPU (user + system) of the server's whole process, and of its Redis, for each. What each does:",
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
      ["", "÷ stock", "µs, node", "µs, Redis"],
      rows.map((row) => cellsOf(row, rows[0] as Row)),
    ),
  ].join("\n");
}

function cellsOf({ name, server, costs }: Row, stock: Row): string[] {
  const ratios = costs.map(({ node }, round) => node / (stock.costs[round] as Cost).node);
  const of = (part: keyof Cost): string => median(costs.map((cost) => cost[part])).toFixed(0);
  return [name, median(ratios).toFixed(2), of("node"), server.redisPid === undefined ? "" : of("redis")];
}
