/**
 * What webhooks cost those who publish: latency of `POST /v1/publish` and of order events, with no webhook and with all
 * events told to a receiver that fails 30 % and hangs 5 %. Two nodes on one Redis take turns in each round, both under
 * the same load; medians over the rounds.
 *
 *   node bench/webhooks.ts [seconds a slice] [rounds]      writes bench/results/webhooks.md
 */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { io } from "socket.io-client";
import { accepts, freePort, startRedisServer } from "../test/support/redis-server.ts";
import { cpuMicros, ended, machine, median, startOn } from "./support/machine.ts";
import { freshFolder } from "./support/native.ts";
import { writeResult } from "./support/results.ts";

const sliceSeconds = Number(process.argv[2] ?? 4);
const rounds = Number(process.argv[3] ?? 5);
const publishesPerSecond = 300;
const orderEventsPerSecond = 60;
const churnsPerSecond = 20;
const apiKey = "bench-key-of-at-least-thirty-two-bytes";

interface Latencies {
  publish: number[];
  order: number[];
  /** Microseconds of the node's CPU. */
  cpu: number;
}

const redis = await startRedisServer();
const receiver = await startReceiver();
const all = ["session.connected", "session.disconnected", "channel.occupied", "channel.vacated", "order.status"];
const nodes = [
  await startNode("no webhook", []),
  await startNode("all events, 30 % fail, 5 % hang", [
    { url: receiver.url, secret: "bench", events: all, firstPauseMs: 50, timeoutMs: 1_000 },
  ]),
];

const measured = new Map(nodes.map(({ name }) => [name, [] as Latencies[]]));
for (let round = -1; round < rounds; round += 1) {
  for (const node of nodes) {
    const slice = await loadFor(node, sliceSeconds);
    if (round >= 0) measured.get(node.name)?.push(slice);
  }
}
const table = [
  "| | publish p50, ms | p99 | order p50 | p99 | CPU of a second, ms |",
  "| --- | --- | --- | --- | --- | --- |",
  ...[...measured].map(([name, slices]) => rowOf(name, slices)),
];
const load =
  `${publishesPerSecond} publications, ${orderEventsPerSecond} orders and ${churnsPerSecond} subscriptions that come and ` +
  `go a second; ${rounds} rounds of ${sliceSeconds} s; ${receiver.count()} deliveries were tried. ${machine()}.`;
writeResult("webhooks", ["# Webhooks beside publishing", "", load, "", ...table].join("\n"));
for (const node of nodes) await node.stop();
await redis.stop();
receiver.stop();

async function startReceiver() {
  let count = 0;
  const server = createServer((request, response) => {
    count += 1;
    request.resume();
    const drawn = Math.random();
    if (drawn >= 0.05) response.writeHead(drawn < 0.35 ? 500 : 204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const stop = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/`, count: () => count, stop };
}

async function startNode(name: string, webhooks: object[]) {
  const file = join(freshFolder(), "gateway.json");
  const limits = { messages: { capacity: 10_000, refillPerSecond: 10_000 }, http: { requests: 10_000_000 } };
  const channels = { chat: { subscribe: "public" }, news: { subscribe: "public" } };
  writeFileSync(file, JSON.stringify({ channels, limits, webhooks }));
  const port = await freePort();
  const child = startOn(0, [process.execPath, fileURLToPath(new URL("../src/main.ts", import.meta.url)), "start"], {
    PORT: `${port}`,
    HOST: "127.0.0.1",
    REDIS_URL: redis.url,
    KEY_PREFIX: `bench${port}`,
    API_KEYS: `bench:${apiKey}`,
    GATEWAY_CONFIG: file,
    LOG_LEVEL: "fatal",
  });
  child.stdout?.resume();
  await accepts(port, child);
  const url = `http://127.0.0.1:${port}`;
  const { token } = (await post(url, "/v1/sessions", { userId: "ada" })) as { token: string };
  const client = io(url, { transports: ["websocket"], auth: { token } });
  await new Promise((resolve) => client.once("ready", resolve));
  const stop = async (): Promise<void> => {
    client.disconnect();
    await ended(child);
  };
  return { name, url, client, pid: child.pid ?? 0, stop };
}

async function loadFor({ url, client, pid }: Awaited<ReturnType<typeof startNode>>, seconds: number) {
  const latencies: Latencies = { publish: [], order: [], cpu: 0 };
  const before = cpuMicros(pid);
  const publication = { channel: "news:1", event: "news", data: { text: "x".repeat(115) } };
  await Promise.all([
    pace(publishesPerSecond * seconds, publishesPerSecond, () =>
      timed(latencies.publish, post(url, "/v1/publish", publication)),
    ),
    pace(orderEventsPerSecond * seconds, orderEventsPerSecond, () =>
      timed(latencies.order, post(url, "/v1/orders", { orderId: crypto.randomUUID(), parties: { customer: "ada" } })),
    ),
    pace(churnsPerSecond * seconds, churnsPerSecond, async (index) => {
      await client.emitWithAck("subscribe", { channel: `chat:${index}` });
      await client.emitWithAck("unsubscribe", { channel: `chat:${index}` });
    }),
  ]);
  latencies.cpu = (cpuMicros(pid) - before) / seconds;
  return latencies;
}

/** Begins each at its time, whether those before it have ended or not. */
async function pace(count: number, perSecond: number, act: (index: number) => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  const running: Promise<unknown>[] = [];
  for (let index = 0; index < count; index += 1) {
    const waitMs = begun + (index / perSecond) * 1_000 - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    running.push(act(index));
  }
  await Promise.all(running);
}

async function timed(latencies: number[], act: Promise<unknown>): Promise<void> {
  const begun = performance.now();
  await act;
  latencies.push(performance.now() - begun);
}

async function post(url: string, path: string, body: object): Promise<unknown> {
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const response = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response.json();
}

function rowOf(name: string, slices: readonly Latencies[]): string {
  const figures = [
    ...(["publish", "order"] as const).flatMap((what) =>
      [0.5, 0.99].map((part) => median(slices.map((slice) => quantile(slice[what], part))).toFixed(2)),
    ),
    (median(slices.map(({ cpu }) => cpu)) / 1_000).toFixed(0),
  ];
  return `| ${[name, ...figures].join(" | ")} |`;
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
