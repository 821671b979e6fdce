import { createChannelLog } from "../../src/channels/channel-log.ts";
import { createKinds } from "../../src/channels/kinds.ts";
import type { PublishRequest, Published } from "../../src/channels/publication.ts";
import { LimitedOrder, publishWithin, type PublishDeps } from "../../src/channels/publication-limit.ts";
import type { OrdersOptions } from "../../src/orders/order-options.ts";
import { Orders } from "../../src/orders/orders.ts";
import { createDeadLetters, type DeadLetters } from "../../src/redis/queues/dead-letters.ts";
import { createDeadCommandStore } from "../../src/commands/dead-command-store.ts";
import { createRunOnce } from "../../src/commands/idempotency.ts";
import {
  createCommandExecutor,
  type CommandExecutor,
  type CommandExecutorDeps,
} from "../../src/commands/command-executor.ts";
import { createStreamConsumer, type StreamConsumerOptions } from "../../src/commands/stream-consumer.ts";
import type { ConsumerGroup } from "../../src/redis/queues/consumer-group.ts";
import { createRedisConnections, type RedisAddress, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { createMetrics, type Metrics } from "../../src/runtime/metrics.ts";
import { transitions } from "./order-stories.ts";

/** Orders and publishing of one node, without channels to clients; runs in a test or in a process of its own. */
export interface PublishingNode {
  orders: Orders;
  executor: CommandExecutor;
  consumer: ConsumerGroup;
  deadLetters: DeadLetters;
  redis: RedisConnections;
  keys: Keys;
  metrics: Metrics;
  publish(request: PublishRequest): Promise<Published>;
  close(): Promise<void>;
}

export interface PublishingNodeOptions {
  url: string;
  /** Where `url` is a node of a Redis Cluster. */
  isCluster?: boolean;
  prefix: string;
  nodeId: string;
  orders?: Partial<OrdersOptions>;
  stream?: StreamConsumerOptions;
  isTurn?: (partition: number) => boolean;
  limitOf?: PublishDeps["limitOf"];
  /** Stands in for what other rooms do. */
  others?: Partial<Pick<CommandExecutorDeps, "submitScore" | "updateSession" | "revokeSession" | "disconnectUser">>;
}

const history = { size: 1_000, ttlSeconds: 3_600 };
const kinds = createKinds({ chat: { subscribe: "public", history } });
const log = createLogger({ level: process.env.TEST_LOG === undefined ? "silent" : "debug" });

export async function createPublishingNode(options: PublishingNodeOptions): Promise<PublishingNode> {
  const { url, isCluster = false, prefix, nodeId } = options;
  const address: RedisAddress = isCluster ? { topology: "cluster", urls: [url] } : { topology: "single", url };
  const redis = createRedisConnections({ address, nodeId, log });
  const commands = redis.connection("commands");
  const keys = createKeys(prefix);
  const channelLog = createChannelLog({ commands, keys, isCluster });
  const { limitOf } = options;
  const publishing = { kinds, log: channelLog, inOrder: new LimitedOrder(), ...(limitOf && { limitOf }) };
  const publish = (request: PublishRequest) => publishWithin(publishing, request);
  const letters = createDeadCommandStore({ commands, keys });
  const orders = new Orders(
    {
      commands,
      keys,
      isCluster,
      historyOf: (channel) => kinds.of(channel).history,
      deadLetter: (refused) => letters.add({ ...refused, tries: 1 }),
      removeSubscription: () => undefined,
      command: async () => ({ count: 0, nodes: 1, acknowledged: 1 }),
      nodeCount: () => 1,
      clock: systemClock,
      log,
    },
    { transitions, ...options.orders },
  );
  const once = createRunOnce({ commands, keys, clock: systemClock, log });
  const metrics = createMetrics({ nodeId });
  const nothing = async () => ({});
  const executor = createCommandExecutor({
    publish,
    publishEphemeral: async ({ channel }) => ({ channel, duplicate: false }),
    orders,
    once,
    submitScore: nothing,
    updateSession: nothing,
    revokeSession: nothing,
    disconnectUser: nothing,
    askClients: async () => ({ answers: [], silent: [], nodes: 0, acknowledged: 0 }),
    metrics,
    ...options.others,
  });
  const consumer = createStreamConsumer(
    {
      commands,
      blocking: (partition) => redis.connection("blocking", partition),
      isTurn: options.isTurn ?? (() => true),
      keys,
      nodeId,
      executor,
      deadLetters: letters,
      clock: systemClock,
      log,
      metrics,
    },
    options.stream,
  );
  await redis.ready(60_000);
  orders.start();
  return {
    orders,
    executor,
    consumer,
    deadLetters: createDeadLetters(letters),
    redis,
    keys,
    metrics,
    publish,
    async close() {
      await consumer.stop();
      await orders.stop();
      await redis.close();
    },
  };
}
