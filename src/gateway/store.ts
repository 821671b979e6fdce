import type { Config } from "../config.ts";
import { createRedisConnections, type RedisClient, type RedisConnections } from "../redis/connections.ts";
import { PubSubProbe } from "../redis/pubsub/pubsub-probe.ts";
import { createKeys, type Keys } from "../redis/keys.ts";
import { PrimaryWatch } from "../redis/primary-watch.ts";
import { createShardedFeed, type FeedConnections, type ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import { WorkerFeed } from "../redis/pubsub/worker-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { locateStore } from "./locate-store.ts";
import { checkChannelRights } from "./rights.ts";
import { StoreCheck } from "./store-check.ts";
import { hubPathIn, type WorkerContext } from "./worker-context.ts";

/** Redis, and a node's connections to it. */
export interface Store {
  redis: RedisConnections;
  commands: RedisClient;
  keys: Keys;
  feed: ShardedFeed;
  probe: PubSubProbe;
  check: StoreCheck;
  isCluster: boolean;
  /** Human-readable description. */
  description: string;
}

/** Max milliseconds for Redis to respond at startup. */
const readyTimeoutMs = 10_000;

/** Starts an embedded server if no Redis is configured, and opens the connections of a node. */
export async function openStore(
  config: Config,
  deps: { worker: WorkerContext | undefined; clock: Clock; log: Logger; metrics: Metrics; lifecycle: Lifecycle },
): Promise<Store> {
  const { clock, log, metrics, lifecycle } = deps;
  const { address, description, stop } = await locateStore(config, log);
  lifecycle.add({ name: "store", stop });
  const redis = createRedisConnections({ address, nodeId: config.nodeId, log, metrics, clock });
  const commands = redis.connection("commands");
  const subscriber = redis.connection("subscriber");
  lifecycle.add({ name: "redis", stop: () => redis.close() });
  lifecycle.add({ name: "redis connections", start: () => redis.ready(readyTimeoutMs) });
  const watch = new PrimaryWatch({ redis, clock, log });
  lifecycle.add({ name: "primary watch", start: () => watch.start(), stop: () => watch.stop() });
  const keys = createKeys(config.keyPrefix);
  const check = new StoreCheck({ address, commands, keys, durability: config.durability, clock, log });
  lifecycle.add({ name: "store check", start: () => check.start(), stop: () => check.stop() });
  lifecycle.add({ name: "rights", start: () => checkChannelRights(config, redis.connection("bridges")) });
  const feed = createFeed(config, createShardedFeed({ subscriber, clock }), deps);
  const inform = createPacedWarnings(log, { level: "info" });
  feed.onRestored(() => inform({}, "the feed of publications was lost and is back; reading what was missed"));
  const probe = new PubSubProbe({ feed, commands, keys, clock, log, onReconnect: () => metrics.redisReconnects.inc() });
  lifecycle.add({ name: "pub/sub probe", start: () => probe.start(), stop: () => probe.stop() });
  return { redis, commands, feed, probe, check, keys, isCluster: redis.isCluster, description };
}

function createFeed(
  { workerFeed }: Config,
  own: ShardedFeed & FeedConnections,
  { worker, clock, log, lifecycle }: Parameters<typeof openStore>[1],
): ShardedFeed & FeedConnections {
  if (worker === undefined || workerFeed === "own") return own;
  const feed = new WorkerFeed({ own, path: hubPathIn(worker.folder), clock, log });
  lifecycle.add({ name: "worker feed", start: () => feed.start(), stop: () => feed.stop() });
  return feed;
}
