/**
 * CPU of a `POST /v1/publish` without a store: dispatched by the API's own route table, and with Express in front of the
 * same handler. The server is a process of its own; the two take turns in each round, and medians count.
 *
 *   node bench/http-stacks.ts [requests a slice] [rounds]      writes bench/results/http-stacks.md
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, createServer, request, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import express from "express";
import { createAuthenticate } from "../src/http/api-keys.ts";
import { createBackendApi } from "../src/http/backend-api.ts";
import { createRequestWatch } from "../src/http/request-watch.ts";
import { createPublishRoutes } from "../src/http/routes/publish.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { publishExecutor } from "../test/support/publish-executor.ts";
import { createMetrics } from "../src/runtime/metrics.ts";
import { table, writeResult } from "./support/results.ts";

const secret = "bench-key-of-at-least-thirty-two-bytes";
const stacks = ["own", "express"] as const;
type Stack = (typeof stacks)[number];

const body = JSON.stringify({ channel: "news:today", event: "headline", data: { text: "x".repeat(115) } });
const headers = {
  "Content-Type": "application/json",
  "Content-Length": Buffer.byteLength(body),
  Authorization: `Bearer ${secret}`,
};

const served = stacks.find((stack) => stack === process.env["STACK"]);
if (served !== undefined) serve(served);
else await compare(Number(process.argv[2] ?? 20_000), Number(process.argv[3] ?? 5));

function serve(stack: Stack): void {
  const listener = stack === "own" ? api() : behindExpress(api());
  const server = createServer(listener).listen(0, "127.0.0.1", () =>
    process.send?.({ port: (server.address() as AddressInfo).port }),
  );
  process.on("message", () => process.send?.({ cpu: process.cpuUsage() }));
}

function api(): RequestListener {
  const metrics = createMetrics({ nodeId: "bench" });
  const log = createLogger({ level: "warn" });
  const publish = async ({ channel }: { channel: string }) => ({ channel, epoch: "e1", offset: 1, duplicate: false });
  return createBackendApi({
    routes: createPublishRoutes({ executor: publishExecutor(publish, metrics) }),
    authenticate: createAuthenticate([{ name: "bench", secret }]),
    clientAddress: ({ socket }) => socket.remoteAddress ?? "",
    watch: createRequestWatch({ metrics, clock: systemClock, log }),
    metrics,
    log,
  });
}

/** As few layers as Express has: no parser of bodies, no other middleware. */
function behindExpress(handle: RequestListener): RequestListener {
  const app = express().disable("x-powered-by").disable("etag");
  for (const path of ["/v1/publish/batch", "/v1/broadcast", "/v1/publish"]) app.post(path, handle);
  return app;
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
  const rows = [...costs].map(([stack, all]) => [stack === "own" ? "own route table" : "behind Express", us(all)]);
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
