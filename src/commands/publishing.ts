import type { PublishRequest, Published } from "../channels/publication.ts";
import type { Orders } from "../orders/orders.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createBridgeStore } from "./bridge-store.ts";
import { createBridges, type BridgeOptions } from "./bridges.ts";
import type { DeadLetterStore } from "./dead-letters-store.ts";
import { createOnce, type IdempotencyOptions, type Once } from "./idempotency.ts";
import { createPublisher, type Publisher, type PublisherDeps } from "./publisher.ts";
import { createStreamConsumer, type StreamConsumerOptions } from "./stream-consumer.ts";

/** What backends may ask, and the doors through Redis by which they ask it; the HTTP door uses the same `publisher`. */
export interface Publishing extends Service {
  readonly publisher: Publisher;
  readonly once: Once;
}

export interface PublishingOptions {
  bridges: readonly BridgeOptions[];
  /** Most bytes of one `data`, as canonical JSON. @default 65536 */
  payloadBytes?: number;
  stream?: Omit<StreamConsumerOptions, "limits">;
  idempotency?: IdempotencyOptions;
}

export interface PublishingDeps extends Pick<PublisherDeps, "submitScore" | "revokeSession" | "disconnectUser"> {
  commands: RedisClient;
  /** Connection of role `blocking`. */
  blocking: RedisClient;
  /** Connection of role `bridges`. */
  bridges: RedisClient;
  keys: Keys;
  nodeId: string;
  channels: {
    publish(request: PublishRequest): Promise<Published>;
    deliverLive(channel: string, event: string, data: string): void;
  };
  orders: Orders;
  /** True for a status that orders can have. */
  isOrderStatus: (status: string) => boolean;
  deadLetters: DeadLetterStore;
  clock: Clock;
  log: Logger;
  metrics: Pick<Metrics, "commands" | "bridged" | "publications">;
}

/** What stands around the data of a command: names, keys, an order's parties. */
const envelopeBytes = 16_384;

export function createPublishing(deps: PublishingDeps, options: PublishingOptions): Publishing {
  const { channels, log, metrics } = deps;
  const { payloadBytes = 65_536 } = options;
  const limits = { maxBytes: payloadBytes + envelopeBytes };
  const publish = (request: PublishRequest) => channels.publish(request);
  const once = createOnce(deps, options.idempotency);
  const publisher = createPublisher({ ...deps, publish, once }, { payloadBytes });
  const consumer = createStreamConsumer({ ...deps, publisher }, { ...options.stream, limits });
  const deliverLive = channels.deliverLive.bind(channels);
  const { isOrderStatus } = deps;
  const store = createBridgeStore(deps);
  const partiesOf = (orderId: string) => deps.orders.partiesOf(orderId);
  const bridges = createBridges(
    { subscriber: deps.bridges, publish, deliverLive, store, isOrderStatus, partiesOf, log, metrics },
    options.bridges,
    limits,
  );

  return {
    name: "publishing",
    publisher,
    once,
    async start() {
      await bridges.start();
      consumer.start();
    },
    async stop() {
      await Promise.all([bridges.stop(), consumer.stop()]);
    },
  };
}
