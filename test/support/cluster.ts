import { createRedisConnections, type RedisClient } from "../../src/redis/connections.ts";
import { startNodeProcess, type NodeProcess } from "./node-process.ts";
import { startStore, type StoreLab, type StoreLabOptions, type Topology } from "./store-lab.ts";
import { startTcpProxy } from "./tcp-proxy.ts";
import { freshPrefix, quietLog } from "./world.ts";

/** Several real nodes on a real store, and one address in front of them. */
export interface Cluster {
  readonly topology: Topology;
  readonly prefix: string;
  readonly store: StoreLab;
  /** In the order they were started; a restarted one keeps its place. */
  readonly nodes: readonly NodeProcess[];
  /** Spreads connections over the nodes that take them; for WebSocket, as it knows no stickiness. */
  readonly url: string;
  /** A node that runs. */
  node(index: number): NodeProcess;
  /** Starts the node of this place again, on its old port; `sources` as in `NodeProcessOptions`. */
  restart(index: number, sources?: string): Promise<NodeProcess>;
  /** A connection of the test's own to the store. */
  redis(): RedisClient;
  /** What the nodes said, the end of it, for whoever looks into a failure. */
  explain(): string;
  stop(): Promise<void>;
}

export interface ClusterOptions {
  /** @default 3 */
  nodes?: number;
  /** @default "single" */
  topology?: Topology;
  store?: StoreLabOptions;
  env?: Record<string, string>;
  /** On top of `labFile`. */
  file?: object;
  prefix?: string;
  /** Folder with the sources of each node, as in `NodeProcessOptions`. */
  sources?: readonly (string | undefined)[];
  /** Where the nodes listen. @default free ports of 127.0.0.1 */
  addresses?: readonly { host: string; port: number }[] | undefined;
}

/** A kind whose log outlives every fault of the lab, and limits that do not stand in its way. */
const labFile = {
  channels: {
    lab: { subscribe: "public", publish: "public", history: { size: 20_000, ttlSeconds: 3_600 } },
    chat: { subscribe: "public", publish: "public", presence: true },
    private: { subscribe: "granted", publish: "none" },
  },
  limits: {
    handshakes: { capacity: 5_000, refillPerSecond: 5_000 },
    http: { requests: 1_000_000, windowSeconds: 60 },
  },
};

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { topology = "single", prefix = freshPrefix(), env = {} } = options;
  const store = await startStore(topology, options.store);
  const start = (
    index: number,
    place: { host?: string; port?: number; sources?: string | undefined } = {},
  ): Promise<NodeProcess> =>
    startNodeProcess({
      ...place,
      nodeId: `node-${index + 1}`,
      env: { ...store.env, KEY_PREFIX: prefix, ...env },
      file: { ...labFile, ...options.file },
    });
  const nodes = await Promise.all(
    Array.from({ length: options.nodes ?? 3 }, (_, index) =>
      start(index, { ...options.addresses?.[index], sources: options.sources?.[index] }),
    ),
  );
  const door = await startTcpProxy({ targets: () => nodes });
  const redis = createRedisConnections({ address: store.address, nodeId: "test", log: quietLog });
  await redis.ready(60_000);

  function node(index: number): NodeProcess {
    const found = nodes[index];
    if (found === undefined) throw new Error(`there is no node ${index}`);
    return found;
  }

  return {
    topology,
    prefix,
    store,
    nodes,
    url: `http://127.0.0.1:${door.port}`,
    node,
    async restart(index, sources) {
      const { host, port } = node(index);
      return (nodes[index] = await start(index, { host, port, sources }));
    },
    redis: () => redis.connection("commands"),
    explain: () => nodes.map((each) => `${each.nodeId}:\n${lastLines(each.log(), 40)}`).join("\n\n"),
    async stop() {
      await Promise.all([door.stop(), redis.close()]);
      await Promise.all(nodes.map((each) => each.stop()));
      await store.stop();
    },
  };
}

const lastLines = (text: string, count: number): string => text.trimEnd().split("\n").slice(-count).join("\n");
