/**
 * What floods cost those who do nothing wrong: latency of innocent clients' messages on a node that is quiet, and while
 * others flood it. Node, Redis and the innocent share one core, the flooders have the other, so that what is measured
 * is what they cost the node. Several are innocent so that a slice has a p99 to speak of. Each slice of a flood is
 * compared with the quiet one just before it, so that a noisy minute hits both; medians count.
 *
 *   node bench/floods.ts [seconds a slice] [rounds]      writes bench/results/floods.md
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { WebSocket } from "ws";
import { canPin, cpuMicros, ended, median, startOn } from "./support/machine.ts";
import { freshFolder } from "./support/native.ts";
import { writeResult } from "./support/results.ts";
import { accepts, freePort } from "./support/measured-servers.ts";

type Flood = (url: string, token: string) => Promise<void>;

/** Each floods the node at `url` until its process is killed, with the flooder's token. */
const floods: Record<string, Flood> = {
  "sockets from one address, as fast as they open": flood(64, async (url, token) => {
    const socket = await opened(url, token);
    socket?.close();
  }),
  "10,000 events a second on each of 4 sockets": flood(4, async (url, token) => {
    const socket = await opened(url, token);
    for (let sent = 1; socket?.readyState === WebSocket.OPEN; sent += 1) {
      socket.send(`42${sent}["publish",{"channel":"bench:flood","event":"flood","data":1}]`);
      if (sent % 10 === 0) await passed(1);
    }
  }),
  "subscribe and unsubscribe on each of 4 sockets": flood(4, async (url, token) => {
    const socket = await opened(url, token);
    for (let sent = 1; socket?.readyState === WebSocket.OPEN; sent += 2) {
      socket.send(`42${sent}["subscribe",{"channel":"bench:${sent}"}]`);
      socket.send(`42${sent + 1}["unsubscribe",{"channel":"bench:${sent}"}]`);
      if (sent % 10 === 1) await passed(4);
    }
  }),
  "nonsense of 60 kB on each of 4 sockets": flood(4, async (url, token) => {
    const socket = await opened(url, token);
    const nonsense = `42["publish",${"[".repeat(30_000)}${"]".repeat(30_000)}]`;
    while (socket?.readyState === WebSocket.OPEN) {
      socket.send(nonsense);
      await passed(1);
    }
  }),
  "pongs nobody asked for on each of 4 sockets": flood(4, async (url, token) => {
    const socket = await opened(url, token);
    while (socket?.readyState === WebSocket.OPEN) {
      for (let sent = 0; sent < 100; sent += 1) socket.send("3");
      await passed(1);
    }
  }),
};

const innocentCount = 4;

async function measureAll(sliceSeconds: number, rounds: number): Promise<void> {
  if (canPin) spawnSync("taskset", ["-cp", "0", `${process.pid}`]);
  const node = await startNode();
  const innocents = await Promise.all(Array.from({ length: innocentCount }, (_, index) => innocentOf(node, index)));
  const measured = new Map<string, Pair[]>(Object.keys(floods).map((name) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, pairs] of measured) {
      const ms = sliceSeconds * 1_000;
      const quiet = await sliceOf(node, innocents, { name: "nobody", ms });
      const pair = { quiet, flooded: await sliceOf(node, innocents, { name, ms }) };
      // The first round is a warm-up.
      if (round >= 0) pairs.push(pair);
    }
  }
  writeResult("floods", report(measured, { sliceSeconds, rounds }));
  for (const innocent of innocents) innocent.close();
  await node.stop();
}

interface Pair {
  quiet: Slice;
  flooded: Slice;
}

interface Slice {
  latencies: number[];
  /** Share of the node's core. */
  cpu: number;
}

/** One slice: some 45 messages a second from each innocent client during the flood. */
async function sliceOf(
  node: Node,
  innocents: readonly Innocent[],
  { name, ms }: { name: string; ms: number },
): Promise<Slice> {
  const flooder = name === "nobody" ? undefined : startFlooder(name, node.url, await node.signIn("flooder"));
  // Until the flooder has started.
  await passed(1_500);
  const latencies: number[] = [];
  const before = cpuMicros(node.pid);
  const begun = performance.now();
  const speak = async (innocent: Innocent): Promise<void> => {
    while (performance.now() - begun < ms) {
      latencies.push(await innocent.publish());
      await passed(20);
    }
  };
  await Promise.all(innocents.map(speak));
  const cpu = (cpuMicros(node.pid) - before) / 1_000 / (performance.now() - begun);
  if (flooder !== undefined) await ended(flooder);
  await passed(500);
  return { latencies, cpu };
}

const startFlooder = (name: string, url: string, token: string) =>
  startOn(1, [process.execPath, fileURLToPath(import.meta.url), "flood", name, url, token]);

type Node = Awaited<ReturnType<typeof startNode>>;
type Innocent = Awaited<ReturnType<typeof innocentOf>>;

/** Default limits, except that innocent clients may send as much as the measurement needs. */
async function startNode() {
  const redisPort = await freePort();
  const redis = startOn(0, ["redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", ""]);
  await accepts(redisPort);
  const port = await freePort();
  const file = join(freshFolder(), "gateway.json");
  const channels = { bench: { subscribe: "public", publish: "public" } };
  writeFileSync(file, JSON.stringify({ channels, limits: { messages: { capacity: 100, refillPerSecond: 60 } } }));
  const apiKey = "a-key-of-the-bench-longer-than-32-bytes";
  const child = startOn(0, [process.execPath, fileURLToPath(new URL("../src/main.ts", import.meta.url)), "start"], {
    NODE_ENV: "test",
    PORT: `${port}`,
    HOST: "127.0.0.1",
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    API_KEYS: `bench:${apiKey}`,
    GATEWAY_CONFIG: file,
    LOG_LEVEL: "fatal",
  });
  child.stdout?.resume();
  await accepts(port);
  const url = `http://127.0.0.1:${port}`;
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  return {
    url,
    pid: child.pid as number,
    async signIn(userId: string): Promise<string> {
      const body = JSON.stringify({ userId });
      const response = await fetch(`${url}/v1/sessions`, { method: "POST", headers, body });
      return ((await response.json()) as { token: string }).token;
    },
    async stop() {
      await ended(child);
      await ended(redis);
    },
  };
}

/** Publishes and waits for the delivery of its own publication. */
async function innocentOf(node: Node, index: number) {
  const name = `innocent-${index}`;
  const channel = `bench:${name}`;
  // From another address than the flooders.
  const options = {
    transports: ["websocket"],
    localAddress: "127.0.0.2",
    auth: { token: await node.signIn(name) },
  };
  const client = io(node.url, options);
  await new Promise((resolve) => client.once("ready", resolve));
  await client.emitWithAck("subscribe", { channel });
  return {
    async publish(): Promise<number> {
      const begun = performance.now();
      const delivered = new Promise((resolve) => client.once("publication", resolve));
      await client.emitWithAck("publish", { channel, event: "said", data: 1 });
      await delivered;
      return performance.now() - begun;
    },
    close: () => void client.disconnect(),
  };
}

function report(measured: ReadonlyMap<string, Pair[]>, { sliceSeconds, rounds }: Record<string, number>): string {
  const rows = [...measured].map(([name, pairs]) => {
    const of = (figure: (pair: Pair) => number): string => median(pairs.map(figure)).toFixed(2);
    const figures = [0.5, 0.99].flatMap((part) => [
      of(({ quiet }) => quantile(quiet, part)),
      of(({ flooded }) => quantile(flooded, part)),
      of(({ quiet, flooded }) => quantile(flooded, part) / quantile(quiet, part)),
    ]);
    return `| ${[name, ...figures, `${(median(pairs.map(({ flooded }) => flooded.cpu)) * 100).toFixed(0)} %`].join(" | ")} |`;
  });
  return [
    "# An innocent client during floods",
    "",
    `Publish to delivery in ms, limits as they come; ${rounds} rounds of ${sliceSeconds} s; ${cpus()[0]?.model.trim()}, ` +
      `Node ${process.versions.node}, ${canPin ? "flooders on a core of their own" : "no cores given to anybody"}.`,
    "",
    "| flood | p50 quiet | p50 flooded | ratio | p99 quiet | p99 flooded | ratio | node's core |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function quantile({ latencies }: Slice, part: number): number {
  const sorted = latencies.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * part)] ?? 0;
}

/** Runs `act` `atOnce` times concurrently, repeating it until the process is killed. */
function flood(atOnce: number, act: Flood): Flood {
  return async (url, token) => {
    const again = async (): Promise<never> => {
      for (;;) {
        await act(url, token).catch(() => undefined);
        await passed(1);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, again));
  };
}

/** Undefined if it is refused. */
function opened(url: string, token: string): Promise<WebSocket | undefined> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`);
  return new Promise((resolve) => {
    const end = (outcome?: WebSocket): void => {
      if (outcome === undefined) socket.terminate();
      resolve(outcome);
    };
    socket.once("error", () => end());
    socket.once("close", () => end());
    socket.on("message", (data: Buffer) => {
      const text = data.toString();
      if (text.startsWith("0{")) socket.send(`40${JSON.stringify({ token })}`);
      else if (text.startsWith("44")) end();
      else if (text.startsWith('42["ready"')) end(socket);
    });
  });
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const [, , first = "4", second = "5", url = "", token = ""] = process.argv;
if (first === "flood") await floods[second]?.(url, token);
else await measureAll(Number(first), Number(second));
