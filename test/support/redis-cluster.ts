import type { CertificateFiles } from "./certificate-files.ts";
import { startRedisProcess, type RedisProcess } from "./redis-process.ts";
import { freePort } from "./redis-server.ts";
import { eventually } from "./world.ts";

/** A real Redis Cluster on loopback. */
export interface ClusterStore {
  /** Addresses of all servers, for a client to begin with. */
  readonly urls: readonly string[];
  readonly masters: readonly RedisProcess[];
  readonly replicas: readonly RedisProcess[];
  /** Who holds a slot now. */
  masterOf(slot: number): Promise<RedisProcess>;
  /** Moves one slot, with what is in it, as an operator's resharding would. */
  moveSlot(slot: number, to: RedisProcess): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterStoreOptions {
  /** @default 3 */
  masters?: number;
  /** Of each master. @default 0 */
  replicas?: number;
  args?: readonly string[];
  tls?: CertificateFiles | undefined;
}

const slotCount = 16_384;

/**
 * Milliseconds of silence after which a master is taken for dead. Where no replica can take its place, it is not to be lost
 * because the machine was busy for a second.
 */
const nodeTimeoutMs = (replicas: number): number => (replicas === 0 ? 15_000 : 1_500);

export async function startClusterStore(options: ClusterStoreOptions = {}): Promise<ClusterStore> {
  const { masters: masterCount = 3, replicas: replicaCount = 0, args = [], tls } = options;
  const own = [...args, "--cluster-node-timeout", `${nodeTimeoutMs(replicaCount)}`];
  const all = await Promise.all(Array.from({ length: masterCount * (1 + replicaCount) }, () => startMember(own, tls)));
  const masters = all.slice(0, masterCount);
  const replicas = all.slice(masterCount);
  await shareSlots(masters);
  await introduce(all);
  await follow(replicas, masters);
  await Promise.all(all.map((server) => eventually(() => isWhole(server, all.length))));

  async function masterOf(slot: number): Promise<RedisProcess> {
    const port = await portOf(slot, all);
    const master = all.find((server) => server.port === port);
    if (master === undefined) throw new Error(`nobody holds slot ${slot}`);
    return master;
  }

  return {
    urls: all.map(({ url }) => url),
    masters,
    replicas,
    masterOf,
    moveSlot: async (slot, to) => moveSlot(slot, await masterOf(slot), to, masters),
    async stop() {
      await Promise.all(all.map((server) => server.stop()));
    },
  };
}

async function startMember(args: readonly string[], tls: CertificateFiles | undefined): Promise<RedisProcess> {
  const settings = {
    "cluster-enabled": "yes",
    "cluster-port": `${await freePort()}`,
    "cluster-announce-ip": "127.0.0.1",
    "cluster-replica-validity-factor": "0",
  };
  const words = Object.entries({ ...settings, ...(tls && hostNames) }).flatMap(([name, value]) => [`--${name}`, value]);
  return startRedisProcess({ args: [...words, ...args], tls });
}

/** As managed Clusters do it: certificates bear names, so members announce names. */
const hostNames = {
  "tls-cluster": "yes",
  "cluster-announce-hostname": "localhost",
  "cluster-preferred-endpoint-type": "hostname",
};

async function shareSlots(masters: readonly RedisProcess[]): Promise<void> {
  const share = Math.ceil(slotCount / masters.length);
  for (const [index, master] of masters.entries()) {
    await master.ask("CLUSTER", "SET-CONFIG-EPOCH", index + 1);
    const last = Math.min((index + 1) * share, slotCount) - 1;
    await master.ask("CLUSTER", "ADDSLOTSRANGE", index * share, last);
  }
}

/** Everybody meets everybody: gossip alone would take seconds. */
async function introduce(all: readonly RedisProcess[]): Promise<void> {
  for (const server of all) {
    for (const other of all) {
      if (other === server) continue;
      const bus = String(((await other.ask("CONFIG", "GET", "cluster-port")) as string[])[1]);
      await server.ask("CLUSTER", "MEET", "127.0.0.1", other.tlsPort, bus);
    }
  }
  await Promise.all(all.map((server) => eventually(() => knows(server, all.length))));
}

async function knows(server: RedisProcess, count: number): Promise<void> {
  const info = String(await server.ask("CLUSTER", "INFO"));
  if (!info.includes(`cluster_known_nodes:${count}\r`)) throw new Error(`the members do not know each other:\n${info}`);
}

async function follow(replicas: readonly RedisProcess[], masters: readonly RedisProcess[]): Promise<void> {
  for (const [index, replica] of replicas.entries()) {
    const master = masters[index % masters.length];
    await eventually(async () => replica.ask("CLUSTER", "REPLICATE", String(await master?.ask("CLUSTER", "MYID"))));
  }
  await Promise.all(
    replicas.map((replica) =>
      eventually(async () => {
        const info = String(await replica.ask("INFO", "replication"));
        if (!info.includes("master_link_status:up")) throw new Error("a replica is not in step");
      }),
    ),
  );
}

async function isWhole(server: RedisProcess, count: number): Promise<void> {
  await knows(server, count);
  const info = String(await server.ask("CLUSTER", "INFO"));
  if (!info.includes("cluster_state:ok")) throw new Error(`the cluster is not whole:\n${info}`);
}

/** As the first who answers sees it. */
async function portOf(slot: number, all: readonly RedisProcess[]): Promise<number | undefined> {
  const living = all.find((server) => server.isRunning() && !server.isFrozen);
  return living && portFor(slot, living);
}

/** As one sees it. */
async function portFor(slot: number, server: RedisProcess): Promise<number | undefined> {
  const ranges = (await server.ask("CLUSTER", "SLOTS")) as [number, number, [string, number]][];
  return ranges.find(([first, last]) => first <= slot && slot <= last)?.[2][1];
}

async function agreeOn(slot: number, masters: readonly RedisProcess[]): Promise<void> {
  const ports = new Set(await Promise.all(masters.map((server) => portFor(slot, server))));
  if (ports.size > 1) throw new Error(`slot ${slot} is said to be at ${[...ports].join(", ")}`);
}

async function moveSlot(
  slot: number,
  from: RedisProcess,
  to: RedisProcess,
  masters: readonly RedisProcess[],
): Promise<void> {
  const [fromId, toId] = await Promise.all(
    [from, to].map(async (server) => String(await server.ask("CLUSTER", "MYID"))),
  );
  await to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId ?? "");
  await from.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", toId ?? "");
  for (;;) {
    const keys = (await from.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)) as string[];
    if (keys.length === 0) break;
    await from.ask("MIGRATE", "127.0.0.1", to.port, "", 0, 5_000, "KEYS", ...keys);
  }
  // Until all agree: word of an earlier move that was still on its way may have turned one back.
  await eventually(async () => {
    for (const server of [to, from, ...masters]) await server.ask("CLUSTER", "SETSLOT", slot, "NODE", toId ?? "");
    await agreeOn(slot, masters);
  });
}
