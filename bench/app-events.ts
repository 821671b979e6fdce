/**
 * What an event of a client's app costs a node, with its acknowledgement: handled in the process, beside `socket.on` of
 * stock Socket.IO; and forwarded over HTTP, beside a process that only posts the same body over keep-alive connections.
 * `node bench/app-events.ts [rounds] [other checkout]`: with a checkout of another version, its forwarding takes turns too.
 */
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { needs } from "../scripts/needs.ts";
import { AcknowledgedEvents } from "./support/acknowledged-events.ts";
import { cpuMicros, ended, machine, median, skip, startOn } from "./support/machine.ts";
import { freePort, startRedis, startServer, startTidegate, type MeasuredServer } from "./support/measured-servers.ts";
import { table, writeResult } from "./support/results.ts";

const rounds = Number(process.argv[2] ?? 12);
const otherCheckout = process.argv[3];
const sliceMs = 400;
/** Enough for the compiler of Node to have optimized what runs for every event. */
const warmUpRounds = 4;
const connections = 50;
/** Options of Node, such as `--cpu-prof`. */
const nodeOptions = process.env["BENCH_NODE_OPTIONS"]?.split(" ") ?? [];

/** Something whose CPU a slice of work uses. */
interface Subject {
  name: string;
  pid: number;
  /** Resolves with the number of events. */
  slice(): Promise<number>;
  costs: number[];
}

const stops: (() => Promise<void> | void)[] = [];
if (needs.redis.isInstalled()) await run();
else skip("events of an app", "there is no redis-server");

async function run(): Promise<void> {
  try {
    const redis = await startRedis();
    stops.push(() => redis.stop());
    const url = `redis://127.0.0.1:${redis.port}`;
    const subjects = [
      await handledBy("stock Socket.IO, `socket.on`", "stock"),
      await handledBy("Tidegate, `socket.on`", "socket.on", url),
      await handledBy("Tidegate, `gateway.on`", "gateway.on", url),
      ...(await overHttp()),
    ];
    for (let round = -warmUpRounds; round < rounds; round += 1)
      for (const subject of subjects) await measure(subject, round);
    report(subjects.map(({ name, costs }) => ({ name, cost: median(costs) })));
  } finally {
    for (const stop of stops.toReversed()) await stop();
  }
}

/** The rounds before the first warm up. */
async function measure({ pid, slice, costs }: Subject, round: number): Promise<void> {
  const before = cpuMicros(pid);
  const count = await slice();
  if (round >= 0) costs.push((cpuMicros(pid) - before) / count);
}

function fileOf(name: string): string {
  return fileURLToPath(new URL(`./servers/${name}`, import.meta.url));
}

async function handledBy(name: string, ...words: string[]): Promise<Subject> {
  return clientsOf(await startServer(name, [process.execPath, ...nodeOptions, fileOf("app.ts"), "PORT", ...words]));
}

async function clientsOf(server: MeasuredServer, auths?: readonly object[]): Promise<Subject> {
  const authOf = (index: number): object => auths?.[index] ?? { user: `user-${index}` };
  const clients = await AcknowledgedEvents.connect(server.port, connections, authOf);
  stops.push(() => server.stop());
  stops.push(() => clients.stop());
  return { name: server.name, pid: server.pid, slice: () => clients.slice(sliceMs), costs: [] };
}

async function overHttp(): Promise<Subject[]> {
  const port = await freePort();
  const app = startOn(1, [process.execPath, fileOf("app-over-http.ts"), `${port}`]);
  stops.push(() => ended(app));
  const bare = await barePosts(port);
  const posting = await handledBy("stock Socket.IO, `socket.on` that posts", "stock-post", `${port}`);
  const own = await forwardedBy({ startTidegate }, "Tidegate, forwarded over HTTP", port);
  if (otherCheckout === undefined) return [bare, posting, own];
  const other = (await import(`${resolve(otherCheckout)}/bench/support/measured-servers.ts`)) as Starter;
  return [bare, posting, own, await forwardedBy(other, "the same of the other checkout", port)];
}

interface Starter {
  startTidegate: typeof startTidegate;
}

async function forwardedBy({ startTidegate: start }: Starter, name: string, port: number): Promise<Subject> {
  const settings = { app: { url: `http://127.0.0.1:${port}/`, secret: "a-secret-of-the-bench" } };
  const node = await start({ name, settings });
  const tokens = await node.signIn(connections);
  return clientsOf(
    node,
    tokens.map((token) => ({ token })),
  );
}

async function barePosts(port: number): Promise<Subject> {
  const child = startOn(0, [process.execPath, fileOf("bare-posts.ts"), `${port}`, `${connections}`]);
  stops.push(() => ended(child));
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  return {
    name: "bare keep-alive `POST`s",
    pid: child.pid as number,
    async slice() {
      child.stdin?.write(`${sliceMs}\n`);
      return Number((await lines.next()).value);
    },
    costs: [],
  };
}

function report(results: readonly { name: string; cost: number }[]): void {
  const [stock, , , bare] = results;
  const rows = results.map(({ name, cost }, index) => {
    const base = (index < 3 ? stock : bare)?.cost ?? Number.NaN;
    return [name, cost.toFixed(1), (cost / base).toFixed(2)];
  });
  const text = `CPU of a node for one event of 128 bytes and its acknowledgement, ${connections} connections with one event in flight each, medians of ${rounds} slices that take turns.`;
  writeResult("app-events", [text, table(["", "µs per event", "ratio"], rows), machine()].join("\n\n"));
}
