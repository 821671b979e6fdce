import type { ChannelHookData, SessionHookData, WebhookEvent } from "../protocol/webhooks.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Spans } from "../runtime/spans.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { version } from "../runtime/version.ts";
import { Deliveries } from "./deliveries.ts";
import { createDelivery } from "./delivery.ts";
import { createEndpoints, type WebhookOptions } from "./endpoints.ts";
import {
  createDeliveryQueueStore,
  type DeliveryQueueStore,
  type DeliveryQueueOptions,
} from "./delivery-queue-store.ts";
import { createMessage, idOf } from "./messages.ts";
import { Occupancy } from "./occupancy.ts";
import { createOccupancyStore } from "./occupancy-store.ts";

export interface WebhooksDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  keys: Keys;
  /** This node's incarnation; changes if its lease has expired. */
  incarnation: () => string;
  /** False while this node has no lease. */
  mayWrite: () => boolean;
  metrics: Pick<Metrics, "webhooks" | "webhooksWaiting">;
  /** Omit for no spans. */
  spans?: Spans;
  clock: Clock;
  log: Logger;
}

export interface WebhooksOptions extends DeliveryQueueOptions {
  endpoints: readonly WebhookOptions[];
  /** Milliseconds until a disconnected session or vacated channel is reported, so that a page reload is not. @default 2000 */
  settleMs?: number;
  /** Interval of measuring the queues and checking for departed nodes, in milliseconds. @default 1000 */
  upkeepMs?: number;
}

/** A status change of an order; `key` is its idempotency key. */
export interface OrderStatusNotification {
  orderId: string;
  key: string;
  data: object;
}

/** A change of season of a board; `key` is its idempotency key. */
export interface SeasonNotification {
  board: string;
  key: string;
  data: object;
}

const reportEveryMs = 10_000;

/**
 * Notifies backends by signed HTTP requests. Each message is delivered at least once; those about one session, channel or
 * order arrive in order. Whether a session is connected or a channel occupied is determined across all nodes, including
 * nodes that die. Publishing and subscribing never wait for webhooks.
 */
export class Webhooks implements Service {
  readonly name = "webhooks";
  readonly #deps: WebhooksDeps;
  readonly #upkeepMs: number;
  readonly #store: DeliveryQueueStore;
  readonly #deliveries: Deliveries;
  readonly #occupancy: Occupancy;
  #cancels: Cancel[] = [];
  #upkeep: Promise<void> | undefined;

  constructor(deps: WebhooksDeps, { endpoints, settleMs = 2_000, upkeepMs = 1_000, ...bounds }: WebhooksOptions) {
    this.#deps = deps;
    this.#upkeepMs = upkeepMs;
    this.#store = createDeliveryQueueStore(deps, bounds);
    const deliver = createDelivery({ ...deps, version });
    this.#deliveries = new Deliveries({ ...deps, store: this.#store, deliver }, createEndpoints(endpoints));
    const store = createOccupancyStore(deps, bounds);
    this.#occupancy = new Occupancy({ ...deps, store, deliveries: this.#deliveries }, { settleMs });
  }

  start(): void {
    const { clock } = this.#deps;
    this.#deliveries.start();
    this.#occupancy.start();
    this.#cancels = [
      clock.every(this.#upkeepMs, () => this.#runUpkeep()),
      clock.every(reportEveryMs, () => this.#deliveries.report()),
    ];
  }

  async stop(deadline: AbortSignal): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    await this.#occupancy.stop().catch((error: unknown) => {
      // Its lease expires, and the failure detector finds it dead.
      this.#deps.log.warn({ err: error }, "announcing that this node leaves failed");
    });
    await this.#upkeep;
    await this.#deliveries.stop(deadline);
  }

  /** A connection of the session opened, or closed. */
  connectionChanged({ sessionId, userId }: SessionHookData, isOpen: boolean): void {
    this.#occupancy.change("session", sessionId, { sessionId, userId }, isOpen);
  }

  /** A subscription to the channel began, or ended. */
  subscriptionChanged({ channel }: ChannelHookData, isSubscribed: boolean): void {
    this.#occupancy.change("channel", channel, { channel }, isSubscribed);
  }

  /** Resolves when the message is stored; rejects if Redis cannot be reached. Idempotent by key. */
  orderStatus({ orderId, key, data }: OrderStatusNotification): Promise<void> {
    return this.#enqueue("order.status", `order:${orderId}`, { key, data });
  }

  /** True if an endpoint is configured for the event. */
  wants(event: WebhookEvent): boolean {
    return this.#deliveries.endpointsFor(event).length > 0;
  }

  /** As `orderStatus`, for a board's change of season. */
  seasonChanged({ board, key, data }: SeasonNotification): Promise<void> {
    return this.#enqueue("leaderboard.season", `leaderboard:${board}`, { key, data });
  }

  async #enqueue(event: WebhookEvent, entity: string, { key, data }: { key: string; data: object }): Promise<void> {
    const endpoints = this.#deliveries.endpointsFor(event);
    if (endpoints.length === 0) return;
    const traceparent = this.#deps.spans?.sampledTraceparent();
    const created = createMessage(event, JSON.stringify(data), idOf(key), this.#deps.clock.now());
    const message = { ...created, traceparent };
    this.#deliveries.enqueued(entity, message, await this.#store.enqueue(entity, message, endpoints));
  }

  /** Resolves when it is stored that the node is dead; every node that detects this calls it. */
  nodeDied(node: string): Promise<void> {
    return this.#occupancy.nodeLeft(node);
  }

  /** Redis may have lost this node's occupancy, or the node has a new incarnation. */
  rewriteAll(): void {
    this.#occupancy.rewriteAll();
  }

  /** One run at a time. */
  #runUpkeep(): void {
    this.#upkeep ??= this.#doUpkeep().finally(() => {
      this.#upkeep = undefined;
    });
  }

  async #doUpkeep(): Promise<void> {
    try {
      await this.#deliveries.measure();
      await this.#occupancy.removeDepartedNodes();
    } catch (error) {
      this.#deps.log.debug({ err: error }, "maintaining the webhook queues failed");
    }
  }
}
