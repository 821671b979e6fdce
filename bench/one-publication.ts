/**
 * What one publication of a client's costs a node, with a single reader: one behind the other, and one in 20 ms, when
 * its code is cold; and what the node does at rest. Beside stock Socket.IO, which neither asks Redis nor answers.
 * `node bench/one-publication.ts [rounds]`
 */
import { setTimeout as pause } from "node:timers/promises";
import { needs } from "../scripts/needs.ts";
import { Load, type PublishRate, type ClientScript } from "./support/load.ts";
import { cpuMicros, machine, median, skip } from "./support/machine.ts";
import { compiled } from "./support/native.ts";
import { table, writeResult } from "./support/results.ts";
import { startStock, startTidegate, type MeasuredServer } from "./support/measured-servers.ts";

const rounds = Number(process.argv[2] ?? 5);
const restMs = 5_000;
const sliceMs = 1_000;
const hot: PublishRate = { burst: 1, burstsPerSecond: 0, window: 64 };
const subscribe = '421["subscribe",{"channel":"bench:0"}]';
const cold: PublishRate = { burst: 1, burstsPerSecond: 50, window: 0 };

const program = compiled("load");
if (program === undefined) skip("one publication", "there is no C compiler for its load client");
else if (!needs.redis.isInstalled()) skip("one publication", "there is no redis-server");
else await run(program);

async function run(loadProgram: string): Promise<void> {
  const rows = [await measured(loadProgram, await tidegate()), await measured(loadProgram, await stock())];
  writeResult("one-publication", report(rows));
}

type Talking = [MeasuredServer, ClientScript];

async function tidegate(): Promise<Talking> {
  const server = await startTidegate();
  const auth = (await server.signIn(2)).map((token) => JSON.stringify({ token }));
  const head = '422["publish",{"channel":"bench:0","event":"tick","data":';
  return [server, { mode: "sio", auth, subscribe, head, tail: "}]" }];
}

async function stock(): Promise<Talking> {
  return [await startStock(), { mode: "sio", auth: ["", ""], subscribe, head: '42["publish",', tail: "]" }];
}

/** A row of the table. What a node does at rest is taken off what it does now and then. */
async function measured(loadProgram: string, [server, script]: Talking): Promise<string[]> {
  const load = await Load.connect(loadProgram, server, 1, script);
  try {
    await load.slice(hot, 2 * sliceMs);
    const before = cpuMicros(server.pid);
    await pause(restMs);
    const restMicros = ((cpuMicros(server.pid) - before) * 1_000) / restMs;
    const hots: number[] = [];
    const colds: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const one = await load.slice(hot, sliceMs);
      hots.push(one.cpu / one.published);
      const other = await load.slice(cold, sliceMs);
      colds.push((other.cpu - restMicros * other.seconds) / other.published);
    }
    return [server.name, median(hots).toFixed(1), median(colds).toFixed(0), (restMicros / 1_000).toFixed(1)];
  } finally {
    await load.stop();
    await server.stop();
  }
}

function report(rows: string[][]): string {
  return [
    "# One publication",
    "",
    `${machine()}; one reader, 128 bytes of JSON, ${rounds} rounds of ${sliceMs} ms, medians; ${restMs} ms at rest.`,
    "CPU (user + system) of the node's whole process. Tidegate's publications are authorised, limited, numbered, kept and",
    "answered.",
    "",
    table(["", "µs, 64 under way", "µs, one in 20 ms", "ms a second at rest"], rows),
  ].join("\n");
}
