import { Cluster, Redis, type ClusterOptions, type RedisOptions } from "ioredis";
import type { Logger } from "../runtime/logger.ts";
import { systemClock, type Clock } from "../runtime/clock.ts";
import { Availability } from "./availability.ts";
import { describeAddress, endpointOptions, seedsOf, type EndpointOptions, type RedisAddress } from "./addresses.ts";
import { instrument, type RedisMetrics } from "./instrumentation.ts";
import { writeTogether } from "./write-together.ts";

export type { RedisAddress } from "./addresses.ts";

export type RedisClient = Redis | Cluster;

/**
 * What a connection is for. Each role has one connection with that name (`CLIENT LIST` shows it) and its own patience:
 * - `commands`: short commands; fails fast, so that a request is refused instead of waiting.
 * - `subscriber`: publications (sharded pub/sub); waits for ever and subscribes again by itself.
 * - `control-publisher`, `control-subscriber`: the Socket.IO adapter; wait for ever.
 * - `blocking`: blocking stream reads; waits for ever.
 * - `bridges`: plain pub/sub from backends; waits for ever.
 */
export type RedisRole =
  "commands" | "subscriber" | "control-publisher" | "control-subscriber" | "blocking" | "bridges" | "control-log";

export interface RedisConnections {
  readonly address: RedisAddress;
  readonly isCluster: boolean;
  /** Whether Redis is there, and takes writes. */
  readonly availability: Pick<Availability, "refusal">;
  /** The connection of this role, opened on first use and closed by `close`. */
  connection(role: RedisRole): RedisClient;
  /** Opens all connections anew but `commands`: those that were ready before `moment`, on `performance`'s clock. */
  reconnectOlderThan(moment: number): void;
  /** Resolves when `commands` and every connection opened so far have answered once; rejects after `timeoutMs`. */
  ready(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
}

export interface RedisConnectionsOptions {
  address: RedisAddress;
  nodeId: string;
  log: Logger;
  /** Where commands are timed and their failures counted. @default nowhere */
  metrics?: RedisMetrics;
  /** @default the system's */
  clock?: Clock;
}

/** The one place that knows whether Redis is embedded, single, watched by Sentinel, or a Cluster. */
export function createRedisConnections(options: RedisConnectionsOptions): RedisConnections {
  const { address, nodeId, log, metrics, clock = systemClock } = options;
  const open = new Map<RedisRole, RedisClient>();
  const readySince = new Map<RedisClient, number>();
  const availability = new Availability({ address: describeAddress(address), isReachable, clock, log });
  let isClosed = false;

  async function isReachable(): Promise<boolean> {
    const areReady = [...open.values()].every(({ status }) => status === "ready");
    return areReady && (await connection("commands").ping()) === "PONG";
  }

  function connection(role: RedisRole): RedisClient {
    const known = open.get(role);
    if (known !== undefined) return known;
    const client = connect(address, role, roleOptions(role, nodeId));
    if (client instanceof Redis) writeTogether(client);
    const impatience = {
      timeoutMs: commandTimeoutMs,
      onFailure: (error: unknown) => availability.commandFailed(error),
    };
    instrument(client, role, { metrics, ...(patientRoles.has(role) ? {} : impatience) });
    client.on("error", (error: Error) => {
      log.debug({ role, reason: error.message }, "redis connection error");
      if (!isClosed) availability.connectionFailed(error);
    });
    client.on("end", () => isClosed || comeBack(client));
    keepTrack(client);
    open.set(role, client);
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
const patientRoles: ReadonlySet<RedisRole> = new Set([
  "subscriber",
  "control-publisher",
  "control-subscriber",
  "blocking",
  "bridges",
  "control-log",
]);

/** Milliseconds after which a command of an impatient role is given up. */
const commandTimeoutMs = 2_000;

/** Options of every topology; `replyMapping` belongs to RESP3, which is not used. */
type ConnectionOptions = Omit<
  RedisOptions,
  "replyMapping" | "port" | "host" | "path" | "himportFieldsets" | "readOnly"
>;

/** Soon, for an outage is mostly short, and spread, for all nodes come back at once. */
export const reconnectDelayMs = (attempt: number): number =>
  Math.min(50 * 2 ** Math.min(attempt, 5), 1_000) * (0.75 + Math.random() / 2);

function roleOptions(role: RedisRole, nodeId: string): ConnectionOptions {
  const isPatient = patientRoles.has(role);
  return {
    connectionName: `tidegate:${role}:${nodeId.replaceAll(/[^\w.-]/g, "_")}`.slice(0, 128),
    protocol: 2,
    noDelay: true,
    keepAlive: 5_000,
    connectTimeout: 3_000,
    // Not once more: a script that ran before its answer was lost would run twice, and count or publish twice.
    maxRetriesPerRequest: isPatient ? null : 0,
    enableOfflineQueue: isPatient,
    // The feed renews its subscriptions itself, for it must know when they stand.
    autoResubscribe: role !== "subscriber",
    autoResendUnfulfilledCommands: role !== "subscriber",
    enableReadyCheck: true,
    retryStrategy: reconnectDelayMs,
    reconnectOnError: createDemotionCheck(),
  };
}

/** Milliseconds between two connections that are given up because the server was demoted: its name may move later. */
const demotionPauseMs = 1_000;

/** True where the server that was connected to is a replica now, and the address may lead to its successor. */
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
  // By default a minute: so long a failover would go unnoticed on the sentinels' side.
  sentinelReconnectStrategy: () => 1_000,
  // A primary that hangs does not answer a goodbye.
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
    // Host names are kept: certificates bear them, and what they lead to may change.
    dnsLookup: (host, found) => found(null, host),
    ...(options.maxRetriesPerRequest === 0 ? { retryDelayOnFailover: 0 } : {}),
    clusterRetryStrategy: (attempt) => Math.min(100 + attempt * 50, 1_000),
    redisOptions,
  } satisfies ClusterOptions;
  return new Cluster(seedsOf(urls), clusterOptions);
}

async function answered(client: RedisClient, timeoutMs: number): Promise<void> {
  if (client.status !== "ready") {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`redis did not answer within ${timeoutMs} ms`)), timeoutMs);
      client.once("ready", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  await client.ping();
}

/**
 * A connection ends for good where it is told to begin anew while ioredis is asking the sentinels for the primary, as a
 * failover does that comes at the wrong moment. Nobody here gives up a connection before all are closed.
 */
function comeBack(client: RedisClient): void {
  setTimeout(() => void client.connect().catch(() => undefined), reconnectDelayMs(1)).unref();
}

async function closeClient(client: RedisClient): Promise<void> {
  const ended = client.status === "end" ? undefined : new Promise<void>((resolve) => client.once("end", resolve));
  client.disconnect();
  if (ended !== undefined) await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500).unref())]);
}
