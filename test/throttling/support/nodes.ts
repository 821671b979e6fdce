import { inject, onTestFinished } from "vitest";
import { createRedisConnections, type RedisClient } from "../../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../../src/redis/keys.ts";
import { systemClock, type Clock } from "../../../src/runtime/clock.ts";
import type { Logger } from "../../../src/runtime/logger.ts";
import { createCircuitBreaker } from "../../../src/redis/circuit-breaker.ts";
import type { LimiterDependencies } from "../../../src/throttling/limiter.ts";
import type { ThrottlingOptions } from "../../../src/throttling/policies.ts";
import { createThrottling, type Throttling } from "../../../src/throttling/throttling.ts";
import { quietLog } from "../../support/world.ts";

/** The throttling room of one node, with a connection of its own and what it counted. */
export interface ThrottlingNode {
  throttling: Throttling;
  commands: RedisClient;
  /** Refusals as `limiter reason`. */
  refusals: string[];
}

export interface ThrottlingNodeOptions {
  prefix: string;
  limits?: ThrottlingOptions;
  url?: string;
  clock?: Clock;
  log?: Logger;
}

export async function startThrottlingNode(options: ThrottlingNodeOptions): Promise<ThrottlingNode> {
  const { prefix, limits = {}, clock = systemClock, log = quietLog } = options;
  const commands = await ownConnection(options.url);
  const refusals: string[] = [];
  const throttling = createThrottling(
    {
      commands,
      keys: createKeys(prefix),
      clock,
      log,
      metrics: { refused: (limiter, reason) => void refusals.push(`${limiter} ${reason}`) },
    },
    limits,
  );
  throttling.start();
  onTestFinished(() => throttling.stop());
  return { throttling, commands, refusals };
}

/** What a single limiter needs, as one more node would have it. */
export async function limiterNode(prefix: string, clock: Clock = systemClock): Promise<LimiterDependencies> {
  const keys: Keys = createKeys(prefix);
  return { commands: await ownConnection(), keys, clock, breaker: createCircuitBreaker({ clock, log: quietLog }) };
}

export async function ownConnection(url = inject("redisUrl")): Promise<RedisClient> {
  const redis = createRedisConnections({ address: { topology: "single", url }, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  return commands;
}

/** The machine's clock as a node sees it whose wall clock is wrong. */
export const skewedClock = (skewMs: number): Clock => ({ ...systemClock, now: () => Date.now() + skewMs });
