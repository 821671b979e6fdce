import { writeFileSync } from "node:fs";
import { createServer, connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ended, startOn } from "./machine.ts";
import { freshFolder } from "./native.ts";

/** A measured server in its own process. */
export interface MeasuredServer {
  name: string;
  pid: number;
  port: number;
  stop(): Promise<void>;
}

/** Tidegate with its Redis and a backend's calls. */
export interface Tidegate extends MeasuredServer {
  redisPid: number;
  redisPort: number;
  /** Creates a session for each of `count` users; resolves to their tokens. */
  signIn(count: number): Promise<string[]>;
  call(path: string, body: object): Promise<unknown>;
}

const pathOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

export async function startServer(name: string, words: readonly string[]): Promise<MeasuredServer> {
  const port = await freePort();
  const child = startOn(
    0,
    words.map((word) => (word === "PORT" ? `${port}` : word)),
  );
  await accepts(port);
  return { name, pid: child.pid as number, port, stop: () => ended(child) };
}

const youngGeneration = "--max-semi-space-size=16";

export const startStock = (name = "stock Socket.IO 4.8.4", ...more: string[]): Promise<MeasuredServer> =>
  startServer(name, [process.execPath, pathOf("../servers/stock.ts"), "PORT", ...more]);

/** With the young generation that Tidegate has. */
export const startLimitedStock = (): Promise<MeasuredServer> =>
  startServer("stock Socket.IO 4.8.4, limited", [
    process.execPath,
    youngGeneration,
    pathOf("../servers/stock.ts"),
    "PORT",
  ]);

export const startBareWs = (): Promise<MeasuredServer> =>
  startServer("raw `ws`, a loop of `send`", [process.execPath, pathOf("../servers/ws.ts"), "PORT"]);

/** Starts a Redis without persistence on the load's core. */
export async function startRedis(): Promise<MeasuredServer> {
  const port = await freePort();
  const child = startOn(1, ["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--save", ""]);
  await accepts(port);
  return { name: "Redis", pid: child.pid as number, port, stop: () => ended(child) };
}

export const tokenSecret = "a secret of the bench, longer than thirty-two bytes";
const apiKey = "a key of the bench, longer than thirty-two bytes";

/** As in production: tokens, sessions, history, limits (high enough for the load), queue budgets. */
const settings = {
  channels: { bench: { subscribe: "public", publish: "public" } },
  limits: {
    messages: { capacity: 1_000_000, refillPerSecond: 1_000_000 },
    handshakes: { capacity: 1_000_000, refillPerSecond: 1_000_000 },
    http: { requests: 100_000_000, windowSeconds: 60 },
    unauthenticatedConnections: 100_000,
  },
};

export interface TidegateOptions {
  name?: string;
  /** File of the compiled accelerator. @default none, even if one was compiled */
  accelerator?: string;
  /** Starts as another node on the Redis of this one. @default with a Redis of its own */
  beside?: Tidegate | undefined;
  /** More settings of the node. */
  env?: Record<string, string>;
  /** Further sections of the configuration file. */
  settings?: object;
}

/** Options of Node: as the Docker image starts it, and more, such as `--cpu-prof`. */
const nodeOptions = [youngGeneration, ...(process.env["BENCH_NODE_OPTIONS"]?.split(" ") ?? [])];

export async function startTidegate({
  name = "**Tidegate**",
  accelerator = "off",
  beside,
  env = {},
  settings: more = {},
}: TidegateOptions = {}): Promise<Tidegate> {
  const redis = beside === undefined ? await startRedis() : sharedRedis(beside);
  const port = await freePort();
  const file = join(freshFolder(), `gateway-${port}.json`);
  writeFileSync(file, JSON.stringify({ ...settings, ...more }));
  const node = startOn(0, [process.execPath, ...nodeOptions, pathOf("../../src/main.ts"), "start"], {
    NODE_ENV: "production",
    NODE_ID: `bench-${port}`,
    PORT: `${port}`,
    HOST: "127.0.0.1",
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    JWT_SECRET: tokenSecret,
    API_KEYS: `bench:${apiKey.replaceAll(/[ ,]/g, "-")}`,
    ALLOWED_ORIGINS: "http://localhost",
    LOG_LEVEL: "warn",
    ACCELERATOR: accelerator,
    GATEWAY_CONFIG: file,
    ...env,
  });
  await accepts(port);
  const call = caller(port);
  return {
    name,
    pid: node.pid as number,
    port,
    redisPid: redis.pid,
    redisPort: redis.port,
    call,
    signIn: (count) => inSlices(count, 50, (index) => tokenOf(call, `user-${index}`)),
    async stop() {
      await ended(node);
      await redis.stop();
    },
  };
}

const sharedRedis = ({ redisPid, redisPort }: Tidegate): MeasuredServer => ({
  name: "Redis",
  pid: redisPid,
  port: redisPort,
  stop: () => Promise.resolve(),
});

function caller(port: number): Tidegate["call"] {
  const headers = { authorization: `Bearer ${apiKey.replaceAll(/[ ,]/g, "-")}`, "content-type": "application/json" };
  return async (path, body) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
}

async function tokenOf(call: Tidegate["call"], userId: string): Promise<string> {
  const { token } = (await call("/v1/sessions", { userId })) as { token: string };
  return token;
}

export async function inSlices<T>(count: number, size: number, make: (index: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let start = 0; start < count; start += size) {
    const indices = Array.from({ length: Math.min(size, count - start) }, (_, n) => start + n);
    made.push(...(await Promise.all(indices.map(make))));
  }
  return made;
}

/** A port nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error()),
      );
    });
  });
}

export async function accepts(port: number): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    const socket = connect(port, "127.0.0.1");
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nothing listens on port ${port}`);
}
