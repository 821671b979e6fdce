/**
 * CPU of a node per handshake over WebSocket: Tidegate with token, blacklist, session, limits, the user's channel and the
 * record for coming back, over stock Socket.IO that lets everybody in. Both are up; in each round each takes so many
 * connections in turn, and the median of the rounds' ratios counts. `node bench/handshake.ts [rounds] [connections]`
 */
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../scripts/needs.ts";
import { Load, type Talk } from "./support/load.ts";
import { cpuMicros, machine, median, skip } from "./support/machine.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";
import { startStock, startTidegate, type Subject, type Tidegate } from "./support/subjects.ts";

const rounds = Number(process.argv[2] ?? 8);
const connections = Number(process.argv[3] ?? 1_000);

/** Milliseconds for what goes on behind the greeting, and behind the goodbye: channels linger for five seconds. */
const settleMs = 400;
const forgetMs = 6_000;

interface Cost {
  stock: number;
  tidegate: number;
  redis: number;
}

const program = compiled("load");
if (program === undefined) skip("the handshake", "there is no C compiler for its load client");
else if (!needs.redis.isThere()) skip("the handshake", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const stock = await startStock();
  const tidegate = await startTidegate(process.env["BENCH_NODE_OPTIONS"]?.split(" "));
  try {
    const tokens = await tidegate.signIn(connections + 1);
    const anybody: Talk = { mode: "sio", auth: tokens.map(() => "") };
    const known: Talk = { mode: "sio", auth: tokens.map((token) => JSON.stringify({ token })) };
    const costs: Cost[] = [];
    // The first round warms up.
    for (let round = -1; round < rounds; round++) {
      const bare = await take(loadProgram, stock, anybody);
      const redisBefore = cpuMicros(tidegate.redisPid);
      const full = await take(loadProgram, tidegate, known);
      const redis = (cpuMicros(tidegate.redisPid) - redisBefore) / connections;
      if (round >= 0) costs.push({ stock: bare, tidegate: full, redis });
      await pause(forgetMs);
    }
    writeResult("handshake", report(costs, tidegate));
  } finally {
    await stock.stop();
    await tidegate.stop();
  }
}

/** Microseconds a connection. */
async function take(loadProgram: string, subject: Subject, talk: Talk): Promise<number> {
  const before = cpuMicros(subject.pid);
  const load = await Load.connect(loadProgram, subject, connections, talk);
  await pause(settleMs);
  const cost = (cpuMicros(subject.pid) - before) / (connections + 1);
  await load.stop();
  return cost;
}

function report(costs: readonly Cost[], tidegate: Tidegate): string {
  const of = (cost: keyof Cost): string => median(costs.map((each) => each[cost])).toFixed(0);
  const ratio = median(costs.map((cost) => cost.tidegate / cost.stock)).toFixed(2);
  const rows = [
    ["stock Socket.IO 4.8.4, no authentication", "1.00", of("stock"), ""],
    [tidegate.name, ratio, of("tidegate"), of("redis")],
  ];
  return [
    "# Handshake",
    "",
    `${machine()}; ${connections} connections over WebSocket, 64 at a time, ${rounds} rounds.`,
    "CPU (user + system) of the server's whole process. Tidegate's handshakes are complete: token, blacklist, session,",
    "limits, the user's channel joined, the record kept with which the client can come back to any node.",
    "",
    table(["", "÷ stock", "µs, node", "µs, Redis"], rows),
  ].join("\n");
}
