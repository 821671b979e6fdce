/**
 * Memory of a node per idle connection: Tidegate's, authenticated and subscribed to the user's channel and one more,
 * over a bare one of stock Socket.IO. Each server takes all connections at once and is looked at when it has had time
 * to tidy up. `node bench/memory.ts [connections] [runs]`, 10,000 and 3 unless said otherwise.
 */
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../scripts/needs.ts";
import { Load, type ClientScript } from "./support/load.ts";
import { machine, median, residentBytes, skip } from "./support/machine.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";
import {
  startLimitedStock,
  startStock,
  startTidegate,
  type MeasuredServer,
  type Tidegate,
} from "./support/measured-servers.ts";

const connections = Number(process.argv[2] ?? 10_000);
const runs = Number(process.argv[3] ?? 3);

/** V8 releases memory some seconds after the last allocation. */
const tidyMs = 20_000;

const program = compiled("load");
if (program === undefined) skip("memory", "there is no C compiler for its load client");
else if (!needs.redis.isInstalled()) skip("memory", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const measured: Measured = { stock: [], limited: [], tidegate: [] };
  for (let n = 0; n < runs; n++) {
    measured.stock.push(await measureStock(loadProgram, startStock));
    measured.limited.push(await measureStock(loadProgram, startLimitedStock));
    measured.tidegate.push(await measureTidegate(loadProgram));
  }
  writeResult("memory", report(measured));
}

/** Bytes a connection, of each run. */
interface Measured {
  stock: number[];
  limited: number[];
  tidegate: number[];
}

async function measureStock(loadProgram: string, start: () => Promise<MeasuredServer>): Promise<number> {
  const server = await start();
  const auth = Array.from({ length: connections + 1 }, () => "");
  return measure(loadProgram, server, { mode: "sio", auth });
}

async function measureTidegate(loadProgram: string): Promise<number> {
  const server = await startTidegate();
  const tokens = await signInElsewhere(server);
  const auth = tokens.map((token) => JSON.stringify({ token }));
  return measure(loadProgram, server, { mode: "sio", auth, subscribe: '421["subscribe",{"channel":"bench:0"}]' });
}

/** At another node: a heap that 10,000 calls have made large would hide what the connections take. */
async function signInElsewhere(server: Tidegate): Promise<string[]> {
  const signer = await startTidegate({ beside: server });
  try {
    return await signer.signIn(connections + 1);
  } finally {
    await signer.stop();
  }
}

/** Bytes a connection. */
async function measure(loadProgram: string, server: MeasuredServer, script: ClientScript): Promise<number> {
  try {
    await pause(tidyMs);
    const before = residentBytes(server.pid);
    const load = await Load.connect(loadProgram, server, connections, script);
    await pause(tidyMs);
    const bytes = (residentBytes(server.pid) - before) / (connections + 1);
    await load.stop();
    return bytes;
  } finally {
    await server.stop();
  }
}

function report({ stock, limited, tidegate }: Measured): string {
  const kilobytes = (bytes: readonly number[]): string => (median(bytes) / 1_024).toFixed(1);
  const ratioOf = (all: readonly number[]): string =>
    median(all.map((bytes, n) => bytes / (stock[n] as number))).toFixed(2);
  return [
    "# Memory",
    "",
    `${machine()}; ${connections} idle connections over WebSocket, ${runs} runs, looked at after ${tidyMs / 1_000} s.`,
    "Growth of the resident set. Tidegate's connections are authenticated, each of a user and a session of its own, and",
    "subscribed to the user's channel and a common one. Tidegate is started as in its Docker image, with V8's young",
    "generation limited to 16 MB (docs/scaling.md); stock as Node starts it, and a second time with the same limit.",
    "",
    table(
      ["", "÷ stock", "KiB a connection"],
      [
        ["stock Socket.IO 4.8.4, bare", "1.00", kilobytes(stock)],
        ["the same, limited", ratioOf(limited), kilobytes(limited)],
        ["**Tidegate**", ratioOf(tidegate), kilobytes(tidegate)],
      ],
    ),
  ].join("\n");
}
