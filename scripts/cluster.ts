/**
 * Runs a cluster on this machine for trials: a Redis, three nodes, and nginx in front of them.
 * Ports: CLUSTER_PORT (8080) for nginx, the three after CLUSTER_NODE_PORT (3001) for the nodes.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startEmbeddedStore } from "../src/redis/embedded.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { needs } from "./needs.ts";
import { startLocalNginx } from "./local-nginx.ts";

const nodeCount = 3;
const port = Number(process.env["CLUSTER_PORT"] ?? 8_080);
const firstNodePort = Number(process.env["CLUSTER_NODE_PORT"] ?? 3_001);
const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

const nodePorts = Array.from({ length: nodeCount }, (_, index) => firstNodePort + index);
await refuseTakenPorts([...nodePorts, ...(needs.nginx.isInstalled() ? [port] : [])]);

const folder = mkdtempSync(join(tmpdir(), "tidegate-cluster-"));
const redisUrl = process.env["REDIS_URL"];
const store = redisUrl === undefined ? await startEmbeddedStore({ log: createLogger({ level: "warn" }) }) : undefined;
const nodes = nodePorts.map((nodePort, index) => startNode(`node-${index + 1}`, nodePort));
const askedToEnd = untilAskedToEnd();
let nginx: ChildProcess | undefined;
await startAll().catch(giveUp);
endWithThisProcess([...nodes, ...(nginx === undefined ? [] : [nginx])]);

say(`Three nodes on ${nodePorts.map((nodePort) => `http://localhost:${nodePort}`).join(", ")}`);
say(`Redis: ${redisUrl ?? `${store?.kind} at ${store?.url}`}`);
if (nginx !== undefined) say(`nginx in front of them: http://localhost:${port}/demo`);
say("Ctrl-C ends all; kill one node to see its clients recover on another:");
for (const [index, node] of nodes.entries()) say(`  node-${index + 1}: kill -9 ${node.pid}`);

await askedToEnd;
await stopAll();

/** Another program on these ports would answer instead of the cluster. */
async function refuseTakenPorts(ports: readonly number[]): Promise<void> {
  const taken: number[] = [];
  for (const one of ports) if (!(await isFree(one))) taken.push(one);
  if (taken.length === 0) return;
  process.stderr.write(`taken: port ${taken.join(", ")}; set CLUSTER_PORT (nginx) or CLUSTER_NODE_PORT (nodes)\n`);
  process.exit(1);
}

function isFree(one: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(one, () => server.close(() => resolve(true)));
  });
}

async function startAll(): Promise<void> {
  await Promise.all(nodes.map(isUp));
  nginx = await startNginx();
}

async function giveUp(error: unknown): Promise<void> {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
  await stopAll();
}

/** In its own process group: on Ctrl-C it gets one signal from here, and none from the terminal. */
function startNode(nodeId: string, nodePort: number): ChildProcess {
  const env = {
    LOG_LEVEL: "warn",
    DEMO: "true",
    ...process.env,
    PORT: `${nodePort}`,
    NODE_ID: nodeId,
    REDIS_URL: redisUrl ?? store?.url,
    TRUSTED_PROXIES: "127.0.0.1",
  };
  return spawn(process.execPath, [main, "start"], { env, stdio: ["ignore", "pipe", "inherit"], detached: true });
}

/** Waits for the node's own message: another program might listen on its port. */
async function isUp(node: ChildProcess, index: number): Promise<void> {
  const says = new Promise<string>((resolve) => {
    node.stdout?.on("data", (chunk) => String(chunk).includes(" is up at ") && resolve("up"));
  });
  const ended = once(node, "exit").then(([code]) => `it ended with ${String(code)}`);
  const first = await Promise.race([says, ended]);
  if (first !== "up") throw new Error(`node-${index + 1} did not start: ${first}`);
}

/** Ends the children however this process ends: a shell waits for the end of a pipe from it. */
function endWithThisProcess(children: readonly ChildProcess[]): void {
  const pids = children.map(({ pid }) => `${pid}`);
  const watch = spawn("sh", ["-c", 'cat >/dev/null; kill "$@" 2>/dev/null', "sh", ...pids], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watch.unref();
}

async function startNginx(): Promise<ChildProcess | undefined> {
  if (needs.nginx.isInstalled()) {
    return startLocalNginx({ port, nodes: nodePorts.map((nodePort) => `127.0.0.1:${nodePort}`), folder });
  }
  say(`nginx is missing (Debian: apt-get install ${needs.nginx.debianPackage}): the nodes run without a common door.`);
  return undefined;
}

/** Resolves on a signal, or when the npm process that started this exits. */
function untilAskedToEnd(): Promise<void> {
  const parent = process.ppid;
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
    setInterval(() => process.ppid !== parent && resolve(), 500);
  });
}

async function stopAll(): Promise<void> {
  say("Draining …");
  await Promise.all(nodes.map((node) => ended(node, "SIGTERM")));
  if (nginx !== undefined) await ended(nginx, "SIGQUIT");
  await store?.stop();
  rmSync(folder, { recursive: true, force: true });
  process.exit();
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
