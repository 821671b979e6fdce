import type { RedisAddress } from "../../src/redis/connections.ts";
import { startClusterStore } from "./redis-cluster.ts";
import { startRedisProcess, type RedisProcess } from "./redis-process.ts";
import { startSentinelStore } from "./redis-sentinel.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

export const topologies = ["single", "sentinel", "cluster"] as const;
export type Topology = (typeof topologies)[number];

/** A store of one of the topologies, and how a node is told of it. */
export interface StoreLab {
  readonly topology: Topology;
  readonly address: RedisAddress;
  /** The same, as a node's environment says it. */
  readonly env: Record<string, string>;
  readonly servers: readonly RedisProcess[];
  /** A server that takes writes at the moment; on Cluster the one of a slot. */
  primary(slot?: number): Promise<RedisProcess>;
  /** What every node's connection runs through, where there is such a line. */
  readonly line: TcpProxy | undefined;
  /** Moves a slot to another master; Cluster only. */
  moveSlot(slot: number, to: RedisProcess): Promise<void>;
  stop(): Promise<void>;
}

export interface StoreLabOptions {
  /** Keep what was acknowledged over a restart. @default false */
  isDurable?: boolean;
  /** Of each master of a Cluster, for a test that takes one away; the sentinels are quick then, too. @default 0 */
  replicas?: number;
  /** Further arguments of every server. */
  args?: readonly string[];
  /** Nodes reach Redis over a line that can be cut; single only. @default false */
  hasLine?: boolean;
}

export async function startStore(topology: Topology, options: StoreLabOptions = {}): Promise<StoreLab> {
  if (topology === "single") return startSingle(options);
  return topology === "sentinel" ? startSentinel(options) : startCluster(options);
}

const durable = ["--appendonly", "yes", "--appendfsync", "everysec"];
const argsOf = ({ isDurable = false, args = [] }: StoreLabOptions): string[] => [
  ...(isDurable ? durable : []),
  ...args,
];

const noSlots = (): Promise<never> => Promise.reject(new Error("only a Cluster has slots"));

async function startSingle(options: StoreLabOptions): Promise<StoreLab> {
  const server = await startRedisProcess({ args: argsOf(options) });
  const line = options.hasLine === true ? await startTcpProxy({ targets: () => [server] }) : undefined;
  const url = `redis://127.0.0.1:${line?.port ?? server.port}`;
  return {
    topology: "single",
    address: { topology: "single", url },
    env: { REDIS_URL: url },
    servers: [server],
    primary: () => Promise.resolve(server),
    line,
    moveSlot: noSlots,
    async stop() {
      await line?.stop();
      await server.stop();
    },
  };
}

async function startSentinel(options: StoreLabOptions): Promise<StoreLab> {
  // Where no test takes it away, a primary is not to be lost because the machine was busy for a second.
  const downAfterMs = options.replicas === undefined ? 30_000 : 1_000;
  const { name, sentinels, servers, primary, stop } = await startSentinelStore({ args: argsOf(options), downAfterMs });
  return {
    topology: "sentinel",
    address: { topology: "sentinel", name, sentinels: [...sentinels] },
    env: {
      REDIS_SENTINELS: sentinels.map(({ host, port }) => `${host}:${port}`).join(","),
      REDIS_SENTINEL_NAME: name,
    },
    servers,
    primary,
    line: undefined,
    moveSlot: noSlots,
    stop,
  };
}

async function startCluster(options: StoreLabOptions): Promise<StoreLab> {
  const store = await startClusterStore({ replicas: options.replicas ?? 0, args: argsOf(options) });
  const urls = [...store.urls];
  return {
    topology: "cluster",
    address: { topology: "cluster", urls },
    env: { REDIS_URL: urls.join(",") },
    servers: [...store.masters, ...store.replicas],
    primary: (slot = 0) => store.masterOf(slot),
    line: undefined,
    moveSlot: store.moveSlot,
    stop: store.stop,
  };
}
