/**
 * What a virtual client of the load test costs the process that holds it: the load generator's own, and Socket.IO's
 * unmodified one. CPU: both kinds are connected to one plain server at the same time, and take turns in being sent
 * publications. Memory: a process for each kind, garbage collected before and after. `node bench/loadtest-clients.ts
 * [rounds] [clients]`
 */
import { spawnSync } from "node:child_process";
import { setTimeout as after } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createStockSocket } from "../src/loadtest/clients/create-reader.ts";
import { LeanSocket } from "../src/loadtest/clients/lean-socket.ts";
import { Dialer } from "../src/loadtest/clients/dialer.ts";
import { createParser } from "../src/loadtest/clients/parse-once.ts";
import type { ClientSocket } from "../src/loadtest/clients/socket.ts";
import { machine, median } from "./support/machine.ts";
import { writeResult } from "./support/results.ts";
import { startServer, type MeasuredServer } from "./support/measured-servers.ts";

type Kind = "lean" | "stock";
const kinds = ["lean", "stock"] as const;
const perSecond = 50;
const sliceMs = 1_000;

if (process.argv[2] === "memory") await printMemory(process.argv[3] as Kind, Number(process.argv[4]), process.argv[5]);
else await run(Number(process.argv[2] ?? 10), Number(process.argv[3] ?? 500));

async function run(rounds: number, count: number): Promise<void> {
  const server = await startServer("plain", [process.execPath, pathOf("./servers/plain.ts"), "PORT"]);
  try {
    const memory = kinds.map((kind) => memoryOf(kind, count * 4, server));
    const costs = await measureCpu(server, rounds, count);
    writeResult("loadtest-clients", report(rounds, count, memory, costs));
  } finally {
    await server.stop();
  }
}

/** Microseconds of this process per delivery, by kind and round. */
async function measureCpu(server: MeasuredServer, rounds: number, count: number): Promise<Record<Kind, number[]>> {
  const url = `http://127.0.0.1:${server.port}`;
  const everybody: ClientSocket[] = [];
  let delivered = 0;
  for (const kind of kinds) {
    const sockets = await connect(kind, count, url);
    everybody.push(...sockets);
    for (const socket of sockets) {
      socket.on("publication", () => (delivered += 1));
      socket.emit("join", { channel: kind }, () => undefined);
    }
  }
  const [publisher] = (await connect("stock", 1, url)) as [ClientSocket];
  const costs: Record<Kind, number[]> = { lean: [], stock: [] };
  for (let round = -1; round < rounds; round += 1) {
    for (const kind of kinds) {
      delivered = 0;
      const before = process.cpuUsage();
      await publishFor(publisher, kind);
      const { user, system } = process.cpuUsage(before);
      // The first round is a warm-up.
      if (round >= 0) costs[kind].push((user + system) / delivered);
    }
  }
  for (const socket of [...everybody, publisher]) socket.disconnect();
  return costs;
}

async function publishFor(publisher: ClientSocket, channel: string): Promise<void> {
  const data = { filler: "x".repeat(100) };
  for (let n = 0; n < (perSecond * sliceMs) / 1_000; n += 1) {
    publisher.emit("publish", { channel, event: "lab", data: { ...data, n } }, () => undefined);
    await after(1_000 / perSecond);
  }
  // Deliveries in flight belong to this slice.
  await after(100);
}

/** Heap and resident bytes per client. */
function memoryOf(kind: Kind, count: number, server: MeasuredServer): { heap: number; resident: number } {
  const words = ["--expose-gc", fileURLToPath(import.meta.url), "memory", kind, `${count}`, `${server.port}`];
  return JSON.parse(spawnSync(process.execPath, words, { encoding: "utf8" }).stdout);
}

async function printMemory(kind: Kind, count: number, port = ""): Promise<void> {
  const collect = async (): Promise<NodeJS.MemoryUsage> => {
    globalThis.gc?.();
    await after(500);
    globalThis.gc?.();
    return process.memoryUsage();
  };
  const before = await collect();
  const sockets = await connect(kind, count, `http://127.0.0.1:${port}`);
  const then = await collect();
  const heap = (then.heapUsed - before.heapUsed) / sockets.length;
  const resident = (then.rss - before.rss) / sockets.length;
  process.stdout.write(JSON.stringify({ heap, resident }));
  process.exit(0);
}

async function connect(kind: Kind, count: number, url: string): Promise<ClientSocket[]> {
  const parse = createParser();
  const sockets: ClientSocket[] = [];
  for (let index = 0; index < count; index += 1) {
    const line = new Dialer([new URL(url)], 0);
    const auth = (give: (data: Record<string, unknown>) => void): void => give({});
    const path = "/socket.io/";
    const socket =
      kind === "lean"
        ? new LeanSocket({ dialer: line, path, auth, random: Math.random, parse })
        : createStockSocket(line, path, auth);
    const connected = new Promise((resolve) => void socket.on("connect", () => resolve(undefined)));
    socket.connect();
    await connected;
    sockets.push(socket);
  }
  return sockets;
}

function report(
  rounds: number,
  count: number,
  memory: { heap: number; resident: number }[],
  costs: Record<Kind, number[]>,
): string {
  const kib = (bytes = 0): string => (bytes / 1_024).toFixed(1);
  const rows = kinds.map((kind, index) => {
    const { heap, resident } = memory[index] ?? {};
    const ratio = median(costs[kind].map((cost, round) => cost / (costs.stock[round] as number)));
    const name = kind === "lean" ? "the load generator's own" : "Socket.IO's 4.8.4";
    return `| ${name} | ${median(costs[kind]).toFixed(1)} | ${ratio.toFixed(2)} | ${kib(heap)} | ${kib(resident)} |`;
  });
  return [
    "# Virtual clients",
    "",
    `${machine().replace(/, servers.*|, no cores.*/, "")}; ${count} clients of each kind, ${perSecond} publications of 130 bytes a second, ${rounds} rounds of`,
    `${sliceMs} ms each, in turn; memory of ${count * 4} clients.`,
    "",
    "|  | µs CPU a delivery | ÷ Socket.IO's | KiB of heap | KiB of all memory |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url));
}
