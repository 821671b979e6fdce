import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { io, type Socket } from "socket.io-client";
import { ownProcess, type OwnProcess } from "../support/child.ts";
import { freePort, startRedisServer } from "../support/redis-server.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";

export const examples = ["whiteboard", "todo", "group-chat", "private-messaging"] as const;
export type Example = (typeof examples)[number];

/** The servers of all examples in one process. */
interface ExamplesProcess extends OwnProcess {
  ports: Record<Example, number>;
}

/** Resolves with the arguments of the next event of this name. */
export const next = (client: Socket, event: string): Promise<any[]> =>
  new Promise((resolve) => client.once(event, (...args: unknown[]) => resolve(args)));

/** What the story of an example is played on. */
export interface Stage {
  /** The n-th client of an example is on the n-th node. */
  connect(example: Example, auth?: object): Promise<Socket>;
  /** Called by each story once; resolves when the second node is gone and its clients know, if there are several nodes. */
  midway(example: Example, client: Socket): Promise<void>;
  stop(): Promise<void>;
}

const script = fileURLToPath(new URL("../support/examples-process.ts", import.meta.url));
const prompt = { forceNew: true, transports: ["websocket"], reconnectionDelay: 50, reconnectionDelayMax: 200 };

async function forEach<T>(make: (name: Example) => Promise<T>): Promise<Record<Example, T>> {
  const entries = await Promise.all(examples.map(async (name) => [name, await make(name)] as const));
  return Object.fromEntries(entries) as Record<Example, T>;
}

async function startProcess(file: string, redisOf: (name: Example) => string = () => ""): Promise<ExamplesProcess> {
  const ports = await forEach(freePort);
  const words = examples.map((name) => `${name}=${ports[name]}=${redisOf(name)}`);
  const child = spawn(process.execPath, [script, file, ...words], {
    env: { PATH: process.env["PATH"], LOG_LEVEL: "warn", DRAIN_TIMEOUT_MS: "2000" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const started = once(child.stdout, "data");
  const own = ownProcess(child);
  const isRunning = await Promise.race([started.then(() => true), own.ended.then(() => false)]);
  if (!isRunning) throw new Error(`the examples' ${file} have ended`);
  await forEach((name) => eventually(() => fetch(`http://127.0.0.1:${ports[name]}/`)));
  return { ...own, ports };
}

/** The original: one process with Socket.IO's own server. */
export async function startStock(): Promise<Stage> {
  const server = await startProcess("server.stock.ts");
  const clients: Socket[] = [];
  return {
    async connect(example, auth = {}) {
      const client = io(`http://127.0.0.1:${server.ports[example]}`, { ...prompt, auth });
      clients.push(client);
      return client;
    },
    midway: async () => undefined,
    async stop() {
      for (const client of clients) client.disconnect();
      await server.stop();
    },
  };
}

/** Three processes over one Redis of each example. */
export async function startTidegate(): Promise<Stage> {
  const redis = await forEach(() => startRedisServer());
  const nodes = await Promise.all([1, 2, 3].map(() => startProcess("server.ts", (name) => redis[name].url)));
  const doors = await forEach((name) => {
    const targets = () => nodes.filter((node) => node.isRunning()).map(({ ports }) => ({ port: ports[name] }));
    return startTcpProxy({ targets });
  });
  const clients: Socket[] = [];
  const arrived = new Set<Example>();
  const gone = Promise.withResolvers<void>();

  return {
    async connect(example, auth = {}) {
      const client = io(`http://127.0.0.1:${doors[example].port}`, {
        ...prompt,
        auth: { ...auth, guest: crypto.randomUUID() },
      });
      clients.push(client);
      return client;
    },
    async midway(example, client) {
      const cut = next(client, "disconnect");
      arrived.add(example);
      if (arrived.size === examples.length) await nodes[1]?.kill().then(() => gone.resolve());
      await Promise.all([gone.promise, cut]);
    },
    async stop() {
      for (const client of clients) client.disconnect();
      await Promise.all([...nodes, ...Object.values(doors)].map((each) => each.stop()));
      await Promise.all(Object.values(redis).map((server) => server.stop()));
    },
  };
}
