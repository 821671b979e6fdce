import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Report } from "../../src/loadtest/report/report.ts";
import { ended } from "./machine.ts";
import { freshFolder } from "./native.ts";
import { accepts, freePort } from "./measured-servers.ts";

/** Several servers of one kind on a Redis of their own, as the load test meets them. */
export interface ServerGroup {
  name: string;
  target: "gateway" | "plain";
  urls: string[];
  pids: number[];
  redis: { pid: number; port: number };
  stop(): Promise<void>;
}

/** Socket.IO's Redis adapters. */
export type Adapter = "classic" | "sharded";

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const folder = freshFolder();
export const apiKey = "a-key-of-the-bench-longer-than-thirty-two-bytes";
const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

/** As in production, with limits high enough for load from one address. */
const settings = {
  channels: {
    news: { subscribe: "public", publish: "none", history: { size: 1_000, ttlSeconds: 300 } },
    bench: { subscribe: "public", publish: "public" },
  },
  limits: {
    messages: { capacity: 100_000, refillPerSecond: 100_000 },
    handshakes: { capacity: 100_000, refillPerSecond: 100_000 },
    http: { requests: 10_000_000, windowSeconds: 60 },
    unauthenticatedConnections: 100_000,
  },
};

/** Without pinned cores: servers and load generator share the machine. */
export async function startServers(
  target: ServerGroup["target"],
  count: number,
  adapter: Adapter = "classic",
): Promise<ServerGroup> {
  const redisPort = await freePort();
  const redis = start(["redis-server", "--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", ""]);
  await accepts(redisPort);
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const servers = ports.map((port) =>
    target === "gateway" ? startNode(port, redisPort) : startPlain(port, redisPort, adapter),
  );
  await Promise.all(ports.map(accepts));
  return {
    name: target === "gateway" ? "**Tidegate**" : `stock Socket.IO 4.8.4, ${adapterNames[adapter]}`,
    target,
    urls: ports.map((port) => `http://127.0.0.1:${port}`),
    pids: servers.map(({ pid }) => pid as number),
    redis: { pid: redis.pid as number, port: redisPort },
    async stop() {
      await Promise.all(servers.map((child) => ended(child)));
      await ended(redis);
    },
  };
}

/** One run of the loadtest against a group; the report it wrote. */
export async function runLoadtest(
  group: ServerGroup,
  scenario: { name: string } & object,
  more: string[] = [],
): Promise<Report> {
  const reports = join(folder, `${scenario.name}-${group.target}`);
  const file = join(folder, `${scenario.name}.json`);
  mkdirSync(reports, { recursive: true });
  writeFileSync(file, JSON.stringify(scenario));
  const where = ["--target", group.target, "--url", ...group.urls, "--node-pid", ...group.pids.map(String)];
  const words = [file, ...where, "--api-key", apiKey, "--report", reports, "--plain", ...more];
  const loadtest = start([process.execPath, pathOf("../../src/main.ts"), "loadtest", ...words], {}, "inherit");
  await new Promise((resolve) => loadtest.once("exit", resolve));
  const [report] = readdirSync(reports).filter((name) => name.endsWith(".json"));
  if (report === undefined) throw new Error(`${scenario.name}: no report was written`);
  return JSON.parse(readFileSync(join(reports, report), "utf8")) as Report;
}

function startNode(port: number, redisPort: number): ChildProcess {
  const file = join(folder, "gateway.json");
  writeFileSync(file, JSON.stringify(settings));
  return start([process.execPath, pathOf("../../src/main.ts"), "start"], {
    NODE_ENV: "production",
    NODE_ID: `node-${port}`,
    PORT: `${port}`,
    HOST: "127.0.0.1",
    REDIS_URL: `redis://127.0.0.1:${redisPort}`,
    JWT_SECRET: "a secret of the bench, longer than thirty-two bytes",
    API_KEYS: `bench:${apiKey}`,
    ALLOWED_ORIGINS: "http://localhost",
    LOG_LEVEL: "warn",
    GATEWAY_CONFIG: file,
  });
}

const adapterNames: Record<Adapter, string> = { classic: "Redis adapter", sharded: "sharded Redis adapter" };

const startPlain = (port: number, redisPort: number, adapter: Adapter): ChildProcess =>
  start([process.execPath, pathOf("../servers/plain.ts"), `${port}`, `redis://127.0.0.1:${redisPort}`, adapter]);

function start(
  [file = "", ...words]: string[],
  env: object = {},
  output: "ignore" | "inherit" = "ignore",
): ChildProcess {
  const child = spawn(file, words, {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", output, "inherit"],
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}
