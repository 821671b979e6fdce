import { randomUUID } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { createRedisConnections, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";

export const quietLog = createLogger({ level: process.env.TEST_LOG === undefined ? "silent" : "debug" });

/** The run's Redis under a prefix nobody else uses; closed when the test ends. */
export async function redisWorld(
  url = inject("redisUrl"),
  nodeId = "test",
): Promise<{ redis: RedisConnections; keys: Keys; prefix: string }> {
  const prefix = freshPrefix();
  const redis = createRedisConnections({
    address: { topology: "single", url },
    nodeId,
    log: quietLog,
  });
  onTestFinished(() => redis.close());
  redis.connection("commands");
  await redis.ready(60_000);
  return { redis, keys: createKeys(prefix), prefix };
}

export const freshPrefix = (): string => `t-${randomUUID()}`;

export const testMetrics = () => createMetrics({ nodeId: "test" });

/** Asks again until `check` passes, without a fixed sleep; throws its last error after `timeoutMs`. */
export async function eventually<T>(check: () => Promise<T> | T, timeoutMs = 30_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}
