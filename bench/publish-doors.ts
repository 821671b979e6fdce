/**
 * What a publication costs through each transport: publications a second, and CPU of the gateway and of Redis' main thread.
 * The gateway is a process of its own with nobody subscribed; interfaces take turns in each round, and medians count. What
 * goes in by the stream counts once it is in its channel.
 *
 *   node bench/publish-doors.ts [publications a slice] [rounds]      writes bench/results/publish-doors.md
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createPublisher, overHttp, overStream, type Publisher } from "../src/publisher/publisher.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { accepts, freePort, startRedisServer } from "../test/support/redis-server.ts";

const publications = Number(process.argv[2] ?? 10_000);
const rounds = Number(process.argv[3] ?? 5);
const channelCount = 100;
const apiKey = "bench-key-of-at-least-thirty-two-bytes";
const keys = createKeys("bench");
/** 128 bytes of JSON, as in the other benchmarks. */
const data = { text: "x".repeat(115) };

interface Cost {
  perSecond: number;
  gatewayUs: number;
  redisUs: number;
}

interface BenchTransport {
  name: string;
  /** Publishes that many and resolves when all have been taken. */
  send(count: number): Promise<unknown>;
}

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
await redis.ready(5_000);
const gateway = await startGateway();
const agent = new Agent({ keepAlive: true, maxSockets: 64 });

try {
  const report = [...header(), "", ...toTable(await measure())].join("\n");
  console.log(report);
  await writeFile(new URL("./results/publish-doors.md", import.meta.url), `${report}\n`);
} finally {
  agent.destroy();
  await gateway.stop();
  await redis.close();
  await server.stop();
}

async function startGateway() {
  const folder = await mkdtemp(join(tmpdir(), "tidegate-bench-"));
  const config = join(folder, "config.json");
  await writeFile(
    config,
    JSON.stringify({
      channels: { news: { subscribe: "public" } },
      limits: { http: { requests: 100_000_000, windowSeconds: 60 } },
    }),
  );
  const port = await freePort();
  const child = spawn(process.execPath, [fileURLToPath(new URL("../src/main.ts", import.meta.url)), "start"], {
    stdio: "ignore",
    env: {
      ...process.env,
      PORT: `${port}`,
      HOST: "127.0.0.1",
      REDIS_URL: server.url,
      KEY_PREFIX: keys.prefix,
      API_KEYS: `bench:${apiKey}`,
      LOG_LEVEL: "warn",
      GATEWAY_CONFIG: config,
    },
  });
  await accepts(port, child);
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      await rm(folder, { recursive: true });
    },
  };
}

function header(): string[] {
  return [
    "# Doors for backends",
    "",
    `${publications.toLocaleString("en")} publications of 128 bytes into ${channelCount} channels (or one) a slice, ` +
      `${rounds} rounds; Node ${process.versions.node}, ${cpus()[0]?.model ?? "unknown CPU"} × ${cpus().length}, ` +
      "shared by backend, gateway and Redis.",
    "`node bench/publish-doors.ts` measures it again.",
  ];
}

function toTable(costs: ReadonlyMap<string, Cost>): string[] {
  const rows = [...costs].map(
    ([name, { perSecond, gatewayUs, redisUs }]) =>
      `| ${name} | ${Math.round(perSecond / 100) / 10} k | ${gatewayUs.toFixed(1)} | ${redisUs.toFixed(1)} |`,
  );
  return ["| transport | a second | gateway, µs CPU | Redis, µs CPU |", "| --- | --- | --- | --- |", ...rows];
}

async function measure(): Promise<Map<string, Cost>> {
  const interfaces = createTransports();
  const costs = new Map<string, Cost[]>(interfaces.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const transport of interfaces) {
      const cost = await costOf(transport);
      if (round >= 0) costs.get(transport.name)?.push(cost);
    }
  }
  return new Map([...costs].map(([name, all]) => [name, medians(all)]));
}

function createTransports(): BenchTransport[] {
  const byHttp = createPublisher(overHttp({ url: gateway.url, apiKey }), { maxQueued: publications });
  const byStream = createPublisher(overStream({ redis: commands, prefix: keys.prefix }), { maxQueued: publications });
  const all = (next: (index: number) => Promise<unknown>) => (count: number) => inParallel(count, 64, next);
  return [
    { name: "HTTP, one a call, 64 calls at once", send: all((index) => post("/v1/publish", publication(index))) },
    { name: "HTTP, batches of 100, 8 at once", send: (count) => inParallel(count / 100, 8, batchOf(100)) },
    { name: "HTTP, batches of 1000, 2 at once", send: (count) => inParallel(count / 1_000, 2, batchOf(1_000)) },
    { name: "stream, XADD by hand", send: (count) => inParallel(count, 256, (index) => add(publication(index))) },
    { name: "stream, all into one channel", send: (count) => inParallel(count, 256, () => add(publication(0))) },
    { name: "publisher over HTTP", send: (count) => library(byHttp, count) },
    { name: "publisher over the stream", send: (count) => library(byStream, count) },
  ];
}

function publication(index: number) {
  return { channel: `news:${index % channelCount}`, event: "said", data };
}

function add(body: object): Promise<unknown> {
  return commands.xadd(keys.commands(), "*", "command", JSON.stringify({ type: "publish", ...body }));
}

/** As a backend would in the course of its work: some in each turn of its event loop. */
async function library(
  publisher: Pick<Publisher<never>, "flush"> & { publish: (body: ReturnType<typeof publication>) => unknown },
  count: number,
): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    publisher.publish(publication(index));
    if (index % 50 === 49) await new Promise((resolve) => setImmediate(resolve));
  }
  await publisher.flush();
}

function batchOf(size: number): (index: number) => Promise<void> {
  return (index) =>
    post("/v1/publish/batch", { publications: Array.from({ length: size }, (_, place) => publication(index + place)) });
}

async function costOf({ send }: BenchTransport): Promise<Cost> {
  const [published, gatewayBefore, redisBefore] = [await publishedSoFar(), await gatewayCpuUs(), await redisCpuUs()];
  const start = performance.now();
  await send(publications);
  while ((await publishedSoFar()) < published + publications) await new Promise((resolve) => setTimeout(resolve, 5));
  const seconds = (performance.now() - start) / 1_000;
  return {
    perSecond: publications / seconds,
    gatewayUs: ((await gatewayCpuUs()) - gatewayBefore) / publications,
    redisUs: ((await redisCpuUs()) - redisBefore) / publications,
  };
}

async function publishedSoFar(): Promise<number> {
  const channels = Array.from({ length: channelCount }, (_, index) => keys.channelMeta(`news:${index}`));
  const offsets = await Promise.all(channels.map((channel) => commands.hget(channel, "offset")));
  return offsets.reduce((sum, offset) => sum + Number(offset ?? 0), 0);
}

async function gatewayCpuUs(): Promise<number> {
  const text = await (await fetch(`${gateway.url}/metrics`, { headers: { authorization: `Bearer ${apiKey}` } })).text();
  return Number(/^process_cpu_seconds_total\S* ([\d.e+-]+)/m.exec(text)?.[1]) * 1_000_000;
}

async function redisCpuUs(): Promise<number> {
  const text = await commands.info("cpu");
  const seconds = ["user", "sys"].map((part) =>
    Number(new RegExp(`used_cpu_${part}_main_thread:([\\d.]+)`).exec(text)?.[1]),
  );
  return seconds.reduce((sum, part) => sum + part, 0) * 1_000_000;
}

function post(path: string, body: object): Promise<void> {
  const text = JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = request(new URL(path, gateway.url), {
      method: "POST",
      agent,
      headers: {
        authorization: `Bearer ${apiKey}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
      },
    });
    call.once("error", reject);
    call.once("response", (response) => {
      response.resume();
      response.once("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`answered ${response.statusCode}`)),
      );
    });
    call.end(text);
  });
}

/** `next` is called `count` times, some at once. */
async function inParallel(count: number, workers: number, next: (index: number) => Promise<unknown>): Promise<void> {
  let index = 0;
  const worker = async (): Promise<void> => {
    while (index < count) await next(index++);
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

function medians(all: readonly Cost[]): Cost {
  const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
  return {
    perSecond: median(all.map(({ perSecond }) => perSecond)),
    gatewayUs: median(all.map(({ gatewayUs }) => gatewayUs)),
    redisUs: median(all.map(({ redisUs }) => redisUs)),
  };
}
