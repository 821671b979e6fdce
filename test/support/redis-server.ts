import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needs } from "../../scripts/needs.ts";

/** A real redis-server of our own on a free port of loopback. */
export interface RedisServer {
  url: string;
  port: number;
  process: ChildProcess;
  /** Cuts every connection of a type. */
  kill(type: "pubsub" | "normal"): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  port?: number;
  /** Further arguments, such as `["--appendonly", "yes"]`. */
  args?: string[];
  /** @default a fresh temporary folder, removed by `stop` */
  folder?: string;
}

/** Skips the test that asks where there is no redis-server; `npm test` has said so at its beginning. */
export async function startRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  if (!needs.redis.isInstalled()) await skipThisTest(needs.redis.skipped);
  const port = options.port ?? (await freePort());
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "tidegate-redis-")));
  const child = spawn(
    "redis-server",
    [
      "--port",
      `${port}`,
      "--bind",
      "127.0.0.1",
      "--save",
      "",
      "--dir",
      folder,
      "--enable-debug-command",
      "local",
      ...(options.args ?? []),
    ],
    { stdio: "ignore" },
  );
  await accepts(port, child);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    process: child,
    kill: (type) => say(port, `CLIENT KILL TYPE ${type}`),
    async stop() {
      await ended(child);
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends one inline command on a connection of its own and waits for a reply. */
function say(port: number, command: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`));
    socket.once("data", () => (socket.destroy(), resolve()));
    socket.once("error", reject);
  });
}

/** Loaded here and now: the global set-up uses this file too, and runs where there are no tests. */
async function skipThisTest(reason: string): Promise<void> {
  const { TestRunner } = await import("vitest");
  TestRunner.getCurrentTest()?.context.skip(reason);
}

/**
 * Below the ports that the system gives to outgoing connections, which would take one between now and its use, and above
 * 10080, which `fetch` and browsers refuse as that of another protocol.
 */
const ports = { first: 10_100, count: 9_900 };
let nextPort = Math.floor(Math.random() * ports.count);

/** A port nobody listens on at this moment, and another one each time. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < ports.count; tries += 1) {
    const port = ports.first + (nextPort++ % ports.count);
    if (claim(port) && (await isFree(port))) return port;
  }
  throw new Error("no port is free");
}

const claims: string[] = [];
process.once("exit", () => claims.forEach((file) => rmSync(file, { force: true })));

/** Test processes that run side by side would else find the same port before either listens on it. */
export function claim(port: number): boolean {
  const file = join(tmpdir(), `tidegate-test-port-${port}`);
  try {
    if (existsSync(file) && isRunning(Number(readFileSync(file, "utf8")))) return false;
    rmSync(file, { force: true });
    writeFileSync(file, `${process.pid}`, { flag: "wx" });
    claims.push(file);
    return true;
  } catch {
    return false;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once("error", () => resolve(false));
    probe.listen({ port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/** Resolves when something accepts connections on `port`; rejects where `child` ends first or a minute passes. */
export async function accepts(port: number, child: ChildProcess): Promise<void> {
  const failed = new Promise<never>((_, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${child.spawnfile} ended with ${code}`)));
  });
  failed.catch(() => undefined);
  for (const deadline = Date.now() + 60_000; Date.now() < deadline;) {
    if (await Promise.race([isOpen(port), failed])) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nothing listens on port ${port}`);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGCONT");
  child.kill("SIGTERM");
  const force = setTimeout(() => child.kill("SIGKILL"), 2_000);
  await exit;
  clearTimeout(force);
}
