import type { RedisAddress } from "../../src/redis/connections.ts";
import type { CertificateFiles } from "./certificate-files.ts";
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
  /** Servers and sentinels speak TLS, and ask for a certificate. @default none does */
  tls?: CertificateFiles;
  /** `user:password` that nodes log in with, instead of nothing. */
  login?: string;
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

function urlOf({ tls, login }: StoreLabOptions, port: number): string {
  const user = login === undefined ? "" : `${login}@`;
  return tls === undefined ? `redis://${user}127.0.0.1:${port}` : `rediss://${user}localhost:${port}`;
}

const pemOf = ({ tls }: StoreLabOptions) => (tls === undefined ? {} : { tls: tls.pem });

function filesOf({ tls }: StoreLabOptions): Record<string, string> {
  if (tls === undefined) return {};
  return { REDIS_TLS_CA_FILE: tls.cert, REDIS_TLS_CERT_FILE: tls.cert, REDIS_TLS_KEY_FILE: tls.key };
}

const noSlots = (): Promise<never> => Promise.reject(new Error("only a Cluster has slots"));

async function startSingle(options: StoreLabOptions): Promise<StoreLab> {
  const server = await startRedisProcess({ args: argsOf(options), tls: options.tls });
  const line = options.hasLine === true ? await startTcpProxy({ targets: () => [server] }) : undefined;
  const url = urlOf(options, line?.port ?? server.tlsPort);
  return {
    topology: "single",
    address: { topology: "single", url, ...pemOf(options) },
    env: { REDIS_URL: url, ...filesOf(options) },
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
  const store = await startSentinelStore({ args: argsOf(options), downAfterMs, tls: options.tls });
  const { name, sentinels, servers, primary, stop } = store;
  // What a node needs of it is all but its host.
  const url = options.tls === undefined && options.login === undefined ? undefined : urlOf(options, 1);
  return {
    topology: "sentinel",
    address: { topology: "sentinel", name, sentinels: [...sentinels], url, ...pemOf(options) },
    env: {
      REDIS_SENTINELS: sentinels.map(({ host, port }) => `${host}:${port}`).join(","),
      REDIS_SENTINEL_NAME: name,
      ...(url === undefined ? {} : { REDIS_URL: url }),
      ...filesOf(options),
    },
    servers,
    primary,
    line: undefined,
    moveSlot: noSlots,
    stop,
  };
}

async function startCluster(options: StoreLabOptions): Promise<StoreLab> {
  const store = await startClusterStore({ replicas: options.replicas ?? 0, args: argsOf(options), tls: options.tls });
  const urls = [...store.masters, ...store.replicas].map(({ tlsPort }) => urlOf(options, tlsPort));
  return {
    topology: "cluster",
    address: { topology: "cluster", urls, ...pemOf(options) },
    env: { REDIS_URL: urls.join(","), ...filesOf(options) },
    servers: [...store.masters, ...store.replicas],
    primary: (slot = 0) => store.masterOf(slot),
    line: undefined,
    moveSlot: store.moveSlot,
    stop: store.stop,
  };
}
