import { randomUUID } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { createCache, type Cache, type CacheOptions } from "../../src/cache/cache.ts";
import { createRedisConnections, type RedisAddress, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { quietLog, testMetrics } from "./world.ts";

/** The cache room of one node on real Redis. */
export interface CacheNode extends Cache {
  redis: RedisConnections;
  keys: Keys;
  /** Reads by outcome. */
  reads(): Promise<Record<string, number>>;
}

export interface CacheNodeOptions extends CacheOptions {
  prefix: string;
  address?: RedisAddress;
}

export async function startCacheNode({
  prefix,
  address = { topology: "single", url: inject("redisUrl") },
  ...options
}: CacheNodeOptions): Promise<CacheNode> {
  const redis = createRedisConnections({ address, nodeId: randomUUID(), log: quietLog });
  const commands = redis.connection("commands");
  const metrics = testMetrics();
  const keys = createKeys(prefix);
  const cache = createCache({ commands, keys, metrics, clock: systemClock, log: quietLog }, options);
  onTestFinished(() => redis.close());
  await redis.ready(60_000);
  return {
    read: (path, load, read) => cache.read(path, load, read),
    redis,
    keys,
    async reads() {
      const { values } = await metrics.cacheReads.get();
      return Object.fromEntries(values.map(({ labels, value }) => [String(labels.outcome), value]));
    },
  };
}
