import type { EphemeralResult, PublishRequest, Published } from "../channels/publication.ts";
import { defaultGateLimits } from "../protocol/gate.ts";
import type { Orders } from "../orders/orders.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createCommandAdder } from "./command-adder.ts";
import { createBridges, type BridgeOptions } from "./bridges.ts";
import type { DeadCommandStore } from "./dead-command-store.ts";
import { createRunOnce, type IdempotencyOptions, type RunOnce } from "./idempotency.ts";
import { createCommandExecutor, type CommandExecutor, type CommandExecutorDeps } from "./command-executor.ts";
import { createSchedule, type Schedule } from "./schedule.ts";
import { createScheduleStore } from "./schedule-store.ts";
import { readUnreadPartitions } from "./stream-backlog.ts";
import { createStreamConsumer, type StreamConsumerOptions } from "./stream-consumer.ts";

/** What backends may ask, and the doors through Redis by which they ask it; the HTTP door uses the same `executor`. */
export interface CommandIngress extends Service {
  readonly executor: CommandExecutor;
  readonly once: RunOnce;
  readonly schedule: Schedule;
}

export interface CommandIngressOptions {
  bridges: readonly BridgeOptions[];
  /** Most bytes of one `data`, as canonical JSON. @default 65536 */
  payloadBytes?: number;
  stream?: Omit<StreamConsumerOptions, "limits">;
  idempotency?: IdempotencyOptions;
  /** How long an entry of the stream is remembered. @default 86400 */
  deliveryTtlSeconds?: number;
}

export interface CommandIngressDeps extends Pick<
  CommandExecutorDeps,
  "submitScore" | "updateSession" | "revokeSession" | "disconnectUser" | "askClients" | "checks" | "around"
> {
  commands: RedisClient;
  /** Connections of role `blocking`. */
  blocking: (partition: number) => RedisClient;
  /** Whether it is this node's turn to lead a partition of the commands stream. */
  isTurn: (partition: number) => boolean;
  /** Connection of role `bridges`. */
  bridges: RedisClient;
  keys: Keys;
  nodeId: string;
  channels: {
    publish(request: PublishRequest): Promise<Published>;
    publishEphemeral(request: PublishRequest): Promise<EphemeralResult>;
    deliverLive(channel: string, event: string, data: string): void;
  };
  /** Throws `unknown_channel`. */
  checkChannel: (channel: string) => void;
  orders: Orders;
  /** True for a status that orders can have. */
  isOrderStatus: (status: string) => boolean;
  deadLetters: DeadCommandStore;
  clock: Clock;
  log: Logger;
  metrics: Pick<Metrics, "commands" | "bridged" | "publications">;
}

/** What stands around the data of a command: names, keys, an order's parties. */
export const envelopeBytes = 16_384;

/** Publications that may be scheduled at once. */
const maxScheduled = 1_000_000;

async function warnOfUnread(deps: CommandIngressDeps, partitions: number): Promise<void> {
  const unread = await readUnreadPartitions(deps, partitions).catch(() => []);
  for (const { stream, waiting } of unread)
    deps.log.warn({ stream, waiting, partitions }, "commands wait in a partition beyond commands.partitions");
}

export function createCommandIngress(deps: CommandIngressDeps, options: CommandIngressOptions): CommandIngress {
  const { channels, log, metrics } = deps;
  const { payloadBytes = defaultGateLimits.maxBytes, deliveryTtlSeconds } = options;
  const limits = { maxBytes: payloadBytes + envelopeBytes };
  const publish = (request: PublishRequest) => channels.publish(request);
  const publishEphemeral = (request: PublishRequest) => channels.publishEphemeral(request);
  const once = createRunOnce(deps, options.idempotency);
  const executor = createCommandExecutor(
    { ...deps, publish, publishEphemeral, once },
    { payloadBytes, ...(deliveryTtlSeconds !== undefined && { deliveryTtlSeconds }) },
  );
  const consumer = createStreamConsumer({ ...deps, executor }, { ...options.stream, limits });
  const schedule = createSchedule({ ...deps, executor, store: createScheduleStore(deps, maxScheduled) });
  const deliverLive = channels.deliverLive.bind(channels);
  const { isOrderStatus } = deps;
  const store = createCommandAdder(deps);
  const partiesOf = (orderId: string) => deps.orders.partiesOf(orderId);
  const bridges = createBridges(
    { subscriber: deps.bridges, executor, deliverLive, store, isOrderStatus, partiesOf, log, metrics },
    options.bridges,
    limits,
  );

  return {
    name: "publishing",
    executor,
    once,
    schedule,
    async start() {
      await bridges.start();
      consumer.start();
      void warnOfUnread(deps, options.stream?.partitions ?? 1);
      schedule.start();
    },
    async stop() {
      await Promise.all([bridges.stop(), consumer.stop(), schedule.stop()]);
    },
  };
}
