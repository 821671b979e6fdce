import type { Config } from "../config.ts";
import { createRedisConnections, type RedisAddress } from "../redis/connections.ts";
import { FeedHub } from "../redis/pubsub/feed-hub.ts";
import { createKeys } from "../redis/keys.ts";
import { PrimaryWatch } from "../redis/primary-watch.ts";
import { PubSubProbe } from "../redis/pubsub/pubsub-probe.ts";
import { createShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import { hubPathIn } from "./worker-context.ts";

export interface FeedHubParts {
  address: RedisAddress;
  /** Private folder of the workers. */
  folder: string;
  clock: Clock;
  log: Logger;
  lifecycle: Lifecycle;
}

/** Max milliseconds for Redis to respond at startup. */
const readyTimeoutMs = 10_000;

/** The feed hub of the primary process, with connections to Redis that are watched and probed as those of a node. */
export function addFeedHub(config: Config, { address, folder, clock, log, lifecycle }: FeedHubParts): void {
  const redis = createRedisConnections({ address, nodeId: `${config.nodeId}-primary`, log, clock });
  const [commands, subscriber] = [redis.connection("commands"), redis.connection("subscriber")];
  const watch = new PrimaryWatch({ redis, clock, log });
  const feed = createShardedFeed({ subscriber, clock });
  const keys = createKeys(config.keyPrefix);
  const probe = new PubSubProbe({ feed, commands, keys, clock, log, onReconnect: () => undefined });
  const hub = new FeedHub({ feed, isHealthy: () => probe.isHealthy, log }, { path: hubPathIn(folder) });
  lifecycle.add({ name: "redis", stop: () => redis.close() });
  lifecycle.add({ name: "redis connections", start: () => redis.ready(readyTimeoutMs) });
  lifecycle.add({ name: "primary watch", start: () => watch.start(), stop: () => watch.stop() });
  lifecycle.add({ name: "pub/sub probe", start: () => probe.start(), stop: () => probe.stop() });
  lifecycle.add({ name: "feed hub", start: () => hub.start(), stop: () => hub.stop() });
}
