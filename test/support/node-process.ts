import { spawn } from "node:child_process";
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ownProcess, type OwnProcess } from "./child.ts";
import { apiKey, backend, type BackendCalls, type SignedIn } from "./gateway.ts";
import { freePort } from "./redis-server.ts";
import { repository } from "./source-tree.ts";
import { eventually } from "./world.ts";

/** A node in a process of its own, started as an operator would start it. */
export interface NodeProcess extends BackendCalls, OwnProcess {
  readonly nodeId: string;
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** A fresh session's token. */
  signIn(userId: string, more?: object): Promise<SignedIn>;
  /** What `/readyz` says; status 0 where nobody answers. */
  readiness(): Promise<Readiness>;
  /** A metric, summed over its labels; 0 where there is none yet. */
  metric(name: string): Promise<number>;
  /** Everything it has said. */
  log(): string;
}

export interface Readiness {
  status: number;
  body: { status?: string; checks?: Record<string, { status: string; note?: string }> };
}

export interface NodeProcessOptions {
  nodeId: string;
  /** On top of what every node of a test has, such as `REDIS_URL` and `KEY_PREFIX`. */
  env: Record<string, string>;
  /** What GATEWAY_CONFIG names. */
  file?: object | undefined;
  /** Folder with the sources of the version that is started. @default this checkout */
  sources?: string | undefined;
  /** @default a free one */
  port?: number | undefined;
  /** @default 127.0.0.1 */
  host?: string | undefined;
}

/** Starts a node and waits until it is ready. The caller stops it. */
export async function startNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  const node = await spawnNodeProcess(options);
  const late = node.ended.then(({ code }) => {
    throw new Error(`node ${node.nodeId} ended with ${code}:\n${node.log()}`);
  });
  const ready = eventually(async () => {
    const { status } = await node.readiness();
    if (status !== 200) throw new Error(`node ${node.nodeId} is not ready (${status}):\n${node.log()}`);
  }, 90_000);
  try {
    await Promise.race([ready, late]);
  } catch (error) {
    await node.kill();
    throw error;
  }
  late.catch(() => undefined);
  return node;
}

/** The same without waiting: for nodes that are not to become ready. */
export async function spawnNodeProcess(options: NodeProcessOptions): Promise<NodeProcess> {
  const { nodeId, host = "127.0.0.1", sources = repository } = options;
  const port = options.port ?? (await freePort());
  const folder = mkdtempSync(join(tmpdir(), `tidegate-${nodeId}-`));
  const logFile = join(folder, "log");
  const output = openSync(logFile, "w");
  const child = spawn(process.execPath, ["src/main.ts", "start"], {
    cwd: sources,
    env: environmentOf(options, { host, port, folder }),
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const own = ownProcess(child);
  let said: string | undefined;
  void own.ended.then(() => {
    said = readFileSync(logFile, "utf8");
    rmSync(folder, { recursive: true, force: true });
  });
  const url = `http://${host}:${port}`;
  const { call } = backend(url);
  return {
    ...own,
    nodeId,
    host,
    port,
    url,
    call,
    signIn: async (userId, more = {}) => (await call("POST", "/v1/sessions", { userId, ...more })).body as SignedIn,
    readiness: () => readinessOf(url),
    metric: (name) => metricOf(url, name),
    log: () => said ?? readFileSync(logFile, "utf8"),
  };
}

function environmentOf(
  { nodeId, env, file }: NodeProcessOptions,
  { host, port, folder }: { host: string; port: number; folder: string },
): NodeJS.ProcessEnv {
  const configFile = join(folder, "gateway.json");
  if (file !== undefined) writeFileSync(configFile, JSON.stringify(file));
  return {
    PATH: process.env["PATH"],
    NODE_ID: nodeId,
    HOST: host,
    PORT: `${port}`,
    API_KEYS: `test:${apiKey}`,
    LOG_LEVEL: "info",
    DRAIN_TIMEOUT_MS: "30000",
    ...(file === undefined ? {} : { GATEWAY_CONFIG: configFile }),
    ...env,
  };
}

async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = text.split("\n").filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
  return samples.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

async function readinessOf(url: string): Promise<Readiness> {
  try {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(3_000) });
    return { status: response.status, body: (await response.json()) as Readiness["body"] };
  } catch {
    return { status: 0, body: {} };
  }
}
