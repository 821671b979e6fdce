import { Cluster, Redis, type ClusterOptions, type RedisOptions } from "ioredis";
import { backoffDelay } from "../runtime/backoff.ts";
import type { Logger } from "../runtime/logger.ts";
import { systemClock, type Clock } from "../runtime/clock.ts";
import { Availability } from "./availability.ts";
import { describeAddress, endpointOptions, seedsOf, type EndpointOptions, type RedisAddress } from "./addresses.ts";
import { instrument, type RedisMetrics } from "./instrumentation.ts";
import { isDenied } from "./outage.ts";
import { addressOf } from "./slots.ts";
import { writeTogether } from "./write-together.ts";

export type { RedisAddress } from "./addresses.ts";

export type RedisClient = Redis | Cluster;

/**
 * The purpose of a connection. Each role has one connection with that name (shown by `CLIENT LIST`) and its own retries:
 * - `commands`: short commands; fails fast, so that a request is refused instead of waiting.
 * - `subscriber`: publications (sharded pub/sub); retries forever and resubscribes by itself.
 * - `control-publisher`, `control-subscriber`: the Socket.IO adapter; retry forever.
 * - `blocking`: blocking stream reads; retries forever.
 * - `bridges`: plain pub/sub from backends; retries forever.
 */
export type RedisRole =
  "commands" | "subscriber" | "control-publisher" | "control-subscriber" | "blocking" | "bridges" | "control-log";

export interface RedisConnections {
  readonly address: RedisAddress;
  readonly isCluster: boolean;
  /** Whether Redis is reachable and accepts writes. */
  readonly availability: Pick<Availability, "refusal" | "diagnosis">;
  /** The connection of this role, opened on first use and closed by `close`; `number` distinguishes several of one role. */
  connection(role: RedisRole, number?: number): RedisClient;
  /** Reopens all connections except `commands` that were ready before `moment`, on `performance`'s clock. */
  reconnectOlderThan(moment: number): void;
  /** Resolves when `commands` and every connection opened so far have answered once; rejects after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface RedisConnectionsOptions {
  address: RedisAddress;
  nodeId: string;
  log: Logger;
  /** Metrics of commands and their failures. @default none */
  metrics?: RedisMetrics;
  /** @default the system's */
  clock?: Clock;
}

/** The only code that depends on whether Redis is embedded, single, monitored by Sentinel, or a Cluster. */
export function createRedisConnections(options: RedisConnectionsOptions): RedisConnections {
  const { address, nodeId, log, metrics, clock = systemClock } = options;
  const open = new Map<string, RedisClient>();
  const readySince = new Map<RedisClient, number>();
  const availability = new Availability({ address: describeAddress(address), isReachable, clock, log });
  let isClosed = false;

  async function isReachable(): Promise<boolean> {
    const areReady = [...open.values()].every(({ status }) => status === "ready");
    if (areReady) return (await connection("commands").ping()) === "PONG";
    if (await isLoading(connection("commands"))) availability.connectionFailed(new Error(loadingReply));
    return false;
  }

  function connection(role: RedisRole, number = 0): RedisClient {
    const name = number === 0 ? role : `${role}-${number}`;
    const known = open.get(name);
    if (known !== undefined) return known;
    const client = connect(address, role, roleOptions(role, nodeId));
    if (client instanceof Redis) writeTogether(client);
    // One that was in flight when all were closed is no outage, whose checks would open a connection.
    const onFailure = (error: unknown) => isClosed || availability.commandFailed(error);
    const failures = retryingRoles.has(role)
      ? { onFailure: (error: unknown) => isDenied(error) && onFailure(error) }
      : { timeoutMs: commandTimeoutMs, onFailure };
    instrument(client, role, { metrics, blocks: role === "blocking", ...failures });
    client.on("error", (error: Error) => {
      log.debug({ role, reason: error.message }, "redis connection error");
      if (!isClosed) availability.connectionFailed(error);
    });
    // The feed says by itself that it is back, once its subscriptions are.
    if (role !== "subscriber") onRestored(client, () => isClosed || availability.connectionRestored(role));
    client.on("end", () => isClosed || reopen(client, () => isClosed));
    keepTrack(client);
    open.set(name, client);
    return client;
  }

  function keepTrack(client: RedisClient): void {
    client.on("ready", () => readySince.set(client, performance.now()));
    client.on("end", () => readySince.delete(client));
  }

  return {
    address,
    isCluster: address.topology === "cluster",
    availability,
    connection,
    reconnectOlderThan(moment) {
      for (const [client, since] of readySince) {
        const isOlder = since < moment && client.status === "ready" && client !== open.get("commands");
        if (isOlder) client.disconnect(true);
      }
    },
    async ready(timeoutMs) {
      connection("commands");
      await Promise.all([...open.values()].map((client) => answered(client, timeoutMs)));
    },
    async close() {
      isClosed = true;
      availability.stop();
      await Promise.all([...open.values()].map(closeClient));
      open.clear();
    },
  };
}

/** Roles whose commands must survive an outage; all others fail fast. */
const retryingRoles: ReadonlySet<RedisRole> = new Set([
  "subscriber",
  "control-publisher",
  "control-subscriber",
  "blocking",
  "bridges",
  "control-log",
]);

/** Timeout in milliseconds of commands of roles that fail fast. */
const commandTimeoutMs = 2_000;

/** Options of every topology; `replyMapping` belongs to RESP3, which is not used. */
type ConnectionOptions = Omit<
  RedisOptions,
  "replyMapping" | "port" | "host" | "path" | "himportFieldsets" | "readOnly"
>;

/** Short, because most outages are, and with jitter, because all nodes reconnect at once. */
export const reconnectDelayMs = (attempt: number): number => backoffDelay(attempt, { minMs: 50, maxMs: 1_000 });

function roleOptions(role: RedisRole, nodeId: string): ConnectionOptions {
  const isRetrying = retryingRoles.has(role);
  return {
    connectionName: `tidegate:${role}:${nodeId.replaceAll(/[^\w.-]/g, "_")}`.slice(0, 128),
    protocol: 2,
    noDelay: true,
    keepAlive: 5_000,
    connectTimeout: 3_000,
    // No retry: a script whose reply was lost would run twice, and count or publish twice.
    maxRetriesPerRequest: isRetrying ? null : 0,
    enableOfflineQueue: isRetrying,
    // The feed renews its subscriptions itself, because it must know when they are confirmed.
    autoResubscribe: role !== "subscriber",
    autoResendUnfulfilledCommands: role !== "subscriber",
    enableReadyCheck: true,
    retryStrategy: reconnectDelayMs,
    reconnectOnError: createDemotionCheck(),
  };
}

/** Min milliseconds between reconnections because of a demoted server: its name may move later. */
const demotionPauseMs = 1_000;

/** Detects that the server was demoted to a replica, so that a new connection may lead to its successor. */
function createDemotionCheck(): (error: Error) => boolean {
  let reconnectedAt = Number.NEGATIVE_INFINITY;
  return ({ message }) => {
    const isDemoted = /^(?:READONLY|UNBLOCKED force unblock)\b/.test(message);
    if (!isDemoted || performance.now() - reconnectedAt < demotionPauseMs) return false;
    reconnectedAt = performance.now();
    return true;
  };
}

function connect(address: RedisAddress, role: RedisRole, options: ConnectionOptions): RedisClient {
  const endpoint = endpointOptions(address);
  if (address.topology === "cluster") return connectCluster(address.urls, role, { ...options, ...endpoint });
  if (address.topology === "sentinel") return new Redis({ ...options, ...sentinelOptions, ...endpoint });
  return new Redis({ ...options, ...endpoint });
}

const sentinelOptions = {
  failoverDetector: true,
  sentinelCommandTimeout: 1_000,
  // The default of a minute would delay the detection of failovers.
  sentinelReconnectStrategy: () => 1_000,
  // A primary that hangs does not answer QUIT.
  disconnectTimeout: 500,
  role: "master",
} satisfies RedisOptions;

function connectCluster(
  urls: readonly string[],
  role: RedisRole,
  options: ConnectionOptions & EndpointOptions,
): Cluster {
  const { retryStrategy: _nodes, enableOfflineQueue, sentinels: _none, ...redisOptions } = options;
  const clusterOptions = {
    enableOfflineQueue: enableOfflineQueue ?? true,
    enableAutoPipelining: role === "commands",
    slotsRefreshInterval: 2_000,
    // Host names are not resolved here: certificates contain them, and their addresses may change.
    dnsLookup: (host, found) => found(null, host),
    ...(options.maxRetriesPerRequest === 0 ? { retryDelayOnFailover: 0 } : {}),
    clusterRetryStrategy: (attempt) => Math.min(100 + attempt * 50, 1_000),
    redisOptions,
  } satisfies ClusterOptions;
  return new Cluster(seedsOf(urls), clusterOptions);
}

const tooLate = (ms: number): string =>
  `Redis was not ready within ${ms} ms: it does not answer, or is still loading its data (redis-cli PING tells)`;

async function answered(client: RedisClient, timeoutMs: number): Promise<void> {
  if (client.status !== "ready") {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(tooLate(timeoutMs))), timeoutMs);
      client.once("ready", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  await client.ping();
}

const loadingReply = "LOADING Redis is loading the dataset in memory";

/** Connected, but not ready: the client library waits in silence until the server has loaded its data. */
async function isLoading(client: RedisClient): Promise<boolean> {
  return client instanceof Redis && client.status === "connect" && /^loading:1/m.test(await client.info("persistence"));
}

/** Calls `restored` whenever a connection that broke is ready again; on a Cluster, one to any of its nodes. */
function onRestored(client: RedisClient, restored: () => void): void {
  if (client instanceof Cluster) return onNodeRestored(client, restored);
  let wasReady = false;
  client.on("ready", () => {
    if (wasReady) restored();
    wasReady = true;
  });
}

/** A Cluster's connection is replaced when it breaks. */
function onNodeRestored(cluster: Cluster, restored: () => void): void {
  const broken = new Set<string>();
  cluster.on("-node", (node: Redis) => broken.add(addressOf(node)));
  cluster.on("+node", (node: Redis) => {
    if (broken.delete(addressOf(node))) node.once("ready", restored);
  });
}

/**
 * ioredis ends a connection for good if it is told to reconnect while it asks the sentinels for the primary, which a
 * failover may cause. So every connection is reopened until `close`.
 */
function reopen(client: RedisClient, isClosed: () => boolean): void {
  const connect = (): unknown => isClosed() || client.connect().catch(() => undefined);
  setTimeout(connect, reconnectDelayMs(1)).unref();
}

async function closeClient(client: RedisClient): Promise<void> {
  const ended = client.status === "end" ? undefined : new Promise<void>((resolve) => client.once("end", resolve));
  client.disconnect();
  if (ended !== undefined) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
}
