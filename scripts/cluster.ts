/**
 * Runs a whole cluster on this machine for trying it: a Redis, three nodes, and nginx in front of them.
 * Ports: CLUSTER_PORT (8080) for nginx, the three after CLUSTER_NODE_PORT (3001) for the nodes.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
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

const folder = mkdtempSync(join(tmpdir(), "tidegate-cluster-"));
const redisUrl = process.env["REDIS_URL"];
const store = redisUrl === undefined ? await startEmbeddedStore({ log: createLogger({ level: "warn" }) }) : undefined;
const nodePorts = Array.from({ length: nodeCount }, (_, index) => firstNodePort + index);
const nodes = nodePorts.map((nodePort, index) => startNode(`node-${index + 1}`, nodePort));
await Promise.all(nodePorts.map(isReady));
const nginx = await startNginx();

say(`Three nodes on ${nodePorts.map((nodePort) => `http://localhost:${nodePort}`).join(", ")}`);
say(`Redis: ${redisUrl ?? `${store?.kind} at ${store?.url}`}`);
if (nginx !== undefined) say(`nginx in front of them: http://localhost:${port}/demo`);
say("Ctrl-C ends all; kill one node to see its clients recover on another:");
for (const [index, node] of nodes.entries()) say(`  node-${index + 1}: kill -9 ${node.pid}`);

await untilAskedToEnd();
await stopAll();

/** In a group of its own: on Ctrl-C it gets one signal from here, not a second one from the terminal. */
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
  return spawn(process.execPath, [main, "start"], { env, stdio: ["ignore", "ignore", "inherit"], detached: true });
}

async function isReady(nodePort: number): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    const answer = await fetch(`http://127.0.0.1:${nodePort}/readyz`).catch(() => undefined);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`the node on port ${nodePort} does not get ready`);
}

async function startNginx(): Promise<ChildProcess | undefined> {
  if (needs.nginx.isThere()) {
    return startLocalNginx({ port, nodes: nodePorts.map((nodePort) => `127.0.0.1:${nodePort}`), folder });
  }
  say(`nginx is missing (Debian: apt-get install ${needs.nginx.debianPackage}): the nodes run without a common door.`);
  return undefined;
}

function untilAskedToEnd(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
}

async function stopAll(): Promise<void> {
  say("Draining …");
  await Promise.all(nodes.map((node) => ended(node, "SIGTERM")));
  if (nginx !== undefined) await ended(nginx, "SIGQUIT");
  await store?.stop();
  rmSync(folder, { recursive: true, force: true });
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
