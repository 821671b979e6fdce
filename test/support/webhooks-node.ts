import { randomUUID } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { createRedisConnections, type RedisAddress } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import type { Logger } from "../../src/runtime/logger.ts";
import type { Metrics } from "../../src/runtime/metrics.ts";
import type { WebhookOptions } from "../../src/webhooks/endpoints.ts";
import type { DeadLetterStore } from "../../src/redis/queues/dead-letters.ts";
import { createDeadWebhookStore } from "../../src/webhooks/dead-webhook-store.ts";
import { Webhooks, type WebhooksOptions } from "../../src/webhooks/webhooks.ts";
import { quietLog, testMetrics } from "./world.ts";

/** The webhooks room of one node on real Redis. */
export interface WebhooksNode {
  webhooks: Webhooks;
  letters: DeadLetterStore;
  metrics: Metrics;
  stop(): Promise<void>;
}

export interface WebhooksNodeOptions extends Partial<WebhooksOptions> {
  prefix: string;
  endpoints: WebhookOptions[];
  nodeId?: string;
  /** @default the node's id */
  incarnation?: () => string;
  /** Where the store is, where it is not the run's Redis. */
  address?: RedisAddress;
  log?: Logger;
}

export async function startWebhooksNode({
  prefix,
  nodeId = randomUUID(),
  incarnation = () => nodeId,
  address = { topology: "single", url: inject("redisUrl") },
  log = quietLog,
  ...options
}: WebhooksNodeOptions): Promise<WebhooksNode> {
  const redis = createRedisConnections({ address, nodeId, log });
  const metrics = testMetrics();
  const store = { commands: redis.connection("commands"), keys: createKeys(prefix) };
  const webhooks = new Webhooks(
    {
      ...store,
      incarnation,
      mayWrite: () => true,
      metrics,
      clock: systemClock,
      log,
    },
    { settleMs: 100, upkeepMs: 100, ...options },
  );
  let stopped: Promise<void> | undefined;
  const end = async (): Promise<void> => {
    await webhooks.stop(AbortSignal.timeout(5_000));
    await redis.close();
  };
  const stop = (): Promise<void> => (stopped ??= end());
  onTestFinished(stop);
  await redis.ready(60_000);
  webhooks.start();
  return { webhooks, letters: createDeadWebhookStore(store), metrics, stop };
}

/** An endpoint that is tried fast; one that hangs needs a shorter time-out. */
export const eager = (url: string, more: Partial<WebhookOptions> = {}): WebhookOptions => ({
  url,
  secret: "whsec_c2VjcmV0IG9mIGEgdGVzdA==",
  events: ["session.connected", "session.disconnected", "channel.occupied", "channel.vacated", "order.status"],
  firstPauseMs: 20,
  longestPauseMs: 100,
  timeoutMs: 20_000,
  ...more,
});

/** What orders tell of one status. */
export const status = (orderId: string, sequence: number) => ({
  orderId,
  key: JSON.stringify([orderId, 1, sequence]),
  data: { orderId, status: `status-${sequence}`, sequence },
});
