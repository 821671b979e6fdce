/**
 * CPU of a `POST /v1/publish` without a store: by Express with everything a request passes, and by a bare `node:http`
 * server that reads and answers the same JSON. The server is a process of its own; the two take turns in each round, and
 * medians count.
 *
 *   node bench/http-stacks.ts [requests a slice] [rounds]      writes bench/results/http-stacks.md
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createHttpServer } from "../src/http/http-server.ts";
import { createReadiness } from "../src/http/readiness.ts";
import { createPublishRoutes } from "../src/http/routes/publish.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { createMetrics } from "../src/runtime/metrics.ts";
import { noSchedule, publishExecutor } from "../test/support/publish-executor.ts";
import { table, writeResult } from "./support/results.ts";

const secret = "bench-key-of-at-least-thirty-two-bytes";
const stacks = ["bare", "express"] as const;
type Stack = (typeof stacks)[number];

const body = JSON.stringify({ channel: "news:today", event: "headline", data: { text: "x".repeat(115) } });
const headers = {
  "Content-Type": "application/json",
  "Content-Length": Buffer.byteLength(body),
  Authorization: `Bearer ${secret}`,
};

const served = stacks.find((stack) => stack === process.env["STACK"]);
if (served !== undefined) await serve(served);
else await compare(Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 5));

async function serve(stack: Stack): Promise<void> {
  const server = stack === "bare" ? createServer(answerBare) : createApi();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.on("message", () => process.send?.({ cpu: process.cpuUsage() }));
  process.once("disconnect", () => process.exit());
  process.send?.({ port: (server.address() as AddressInfo).port });
}

function answerBare(incoming: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
  incoming.once("end", () => {
    const { channel } = JSON.parse(Buffer.concat(chunks).toString()) as { channel: string };
    const text = JSON.stringify({ channel, epoch: "e1", offset: 1, duplicate: false });
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text) });
    response.end(text);
  });
}

function createApi(): Server {
  const metrics = createMetrics({ nodeId: "bench" });
  const publish = async ({ channel }: { channel: string }) => ({ channel, epoch: "e1", offset: 1, duplicate: false });
  return createHttpServer(
    {
      routes: createPublishRoutes({ executor: publishExecutor(publish, metrics), schedule: noSchedule }),
      apiKeys: [{ name: "bench", secret }],
      readiness: createReadiness({ checks: {}, clock: systemClock }),
      metrics,
      clock: systemClock,
      log: createLogger({ level: "warn" }),
    },
    { host: "127.0.0.1", port: 0, version: "1.0.0" },
  ).server;
}

async function compare(requests: number, rounds: number): Promise<void> {
  const servers = await Promise.all(stacks.map(startServer));
  const costs = new Map(stacks.map((stack) => [stack, [] as number[]]));
  for (let round = -1; round < rounds; round += 1)
    for (const server of servers) {
      const cost = await server.measure(requests);
      if (round >= 0) costs.get(server.stack)?.push(cost);
    }
  for (const server of servers) server.stop();
  const rows = [...costs].map(([stack, all]) => [
    stack === "bare" ? "bare `node:http`" : "Express, key, schema, metrics",
    us(all),
  ]);
  writeResult("http-stacks", table(["`POST /v1/publish`, without a store", "CPU µs per request"], rows));
}

function us(all: number[]): string {
  return (all.toSorted((a, b) => a - b)[all.length >> 1] ?? 0).toFixed(1);
}

async function startServer(stack: Stack) {
  const child = fork(import.meta.filename, { env: { ...process.env, STACK: stack } });
  const [{ port }] = (await once(child, "message")) as [{ port: number }];
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });

  async function cpuMicros(): Promise<number> {
    child.send("cpu");
    const [{ cpu }] = (await once(child, "message")) as [{ cpu: NodeJS.CpuUsage }];
    return cpu.user + cpu.system;
  }

  return {
    stack,
    async measure(count: number): Promise<number> {
      const before = await cpuMicros();
      let left = count;
      const worker = async (): Promise<void> => {
        while (left-- > 0) await post(port, agent);
      };
      await Promise.all(Array.from({ length: 64 }, worker));
      return ((await cpuMicros()) - before) / count;
    },
    stop() {
      agent.destroy();
      child.kill();
    },
  };
}

function post(port: number, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", path: "/v1/publish", method: "POST", agent, headers }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`status ${answer.statusCode}`));
      answer.resume().once("end", resolve);
    });
    sent.once("error", reject).end(body);
  });
}
