import type { ChannelHookData, SessionHookData } from "../protocol/webhooks.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { version } from "../runtime/version.ts";
import { Deliveries } from "./deliveries.ts";
import { createDelivery } from "./delivery.ts";
import { createEndpoints, type WebhookOptions } from "./endpoints.ts";
import { createLaneStore, type LaneStore, type LaneStoreOptions } from "./lane-store.ts";
import { createMessage, idOf } from "./messages.ts";
import { Occupancy } from "./occupancy.ts";
import { createStandingStore } from "./standing-store.ts";

export interface WebhooksDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  keys: Keys;
  /** This node's name; another one where its lease has ended. */
  incarnation: () => string;
  /** False while this node has no lease. */
  mayWrite: () => boolean;
  metrics: Pick<Metrics, "webhooks" | "webhooksWaiting">;
  clock: Clock;
  log: Logger;
}

export interface WebhooksOptions extends LaneStoreOptions {
  endpoints: readonly WebhookOptions[];
  /** Milliseconds that a session or a channel must be left before it is told: a reload is not news. @default 2000 */
  settleMs?: number;
  /** Milliseconds between two counts of what waits, and two checks for nodes that have gone. @default 1000 */
  upkeepMs?: number;
}

/** A status of an order; `key` is the same whenever this one is told, and no other's. */
export interface OrderStatusNotification {
  orderId: string;
  key: string;
  data: object;
}

const reportEveryMs = 10_000;

/**
 * Tells backends, by signed HTTP requests, what happens. Each message is delivered once or more; those about one session,
 * channel or order arrive in their order. That a session is connected and a channel occupied is meant over all nodes,
 * also those that die. Nobody who publishes or subscribes waits for any of it.
 */
export class Webhooks implements Service {
  readonly name = "webhooks";
  readonly #deps: WebhooksDeps;
  readonly #upkeepMs: number;
  readonly #lanes: LaneStore;
  readonly #deliveries: Deliveries;
  readonly #occupancy: Occupancy;
  #cancels: Cancel[] = [];
  #upkeep: Promise<void> | undefined;

  constructor(deps: WebhooksDeps, { endpoints, settleMs = 2_000, upkeepMs = 1_000, ...bounds }: WebhooksOptions) {
    this.#deps = deps;
    this.#upkeepMs = upkeepMs;
    this.#lanes = createLaneStore(deps, bounds);
    const deliver = createDelivery({ ...deps, version });
    this.#deliveries = new Deliveries({ ...deps, lanes: this.#lanes, deliver }, createEndpoints(endpoints));
    const store = createStandingStore(deps, bounds);
    this.#occupancy = new Occupancy({ ...deps, store, deliveries: this.#deliveries }, { settleMs });
  }

  start(): void {
    const { clock } = this.#deps;
    this.#deliveries.start();
    this.#cancels = [
      clock.every(this.#upkeepMs, () => this.#keepUp()),
      clock.every(reportEveryMs, () => this.#deliveries.report()),
    ];
  }

  async stop(deadline: AbortSignal): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    await this.#occupancy.stop().catch((error: unknown) => {
      // Its lease ends by itself, and it is then found dead.
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

  /** Resolves when the message is kept; rejects where the store is away. A repeat of a key is not told again. */
  async orderStatus({ orderId, key, data }: OrderStatusNotification): Promise<void> {
    const wanting = this.#deliveries.wanting("order.status");
    if (wanting.length === 0) return;
    const entity = `order:${orderId}`;
    const message = createMessage("order.status", JSON.stringify(data), idOf(key), this.#deps.clock.now());
    this.#deliveries.taken(entity, message, await this.#lanes.announce(entity, message, wanting));
  }

  /** Resolves when it is known that the node is gone; told by every node that finds out. */
  nodeDied(node: string): Promise<void> {
    return this.#occupancy.depart(node);
  }

  /** This node goes by another name: what stands here must be said anew. */
  renamed(): void {
    this.#occupancy.renamed();
  }

  /** One round at a time. */
  #keepUp(): void {
    this.#upkeep ??= this.#lookAfter().finally(() => {
      this.#upkeep = undefined;
    });
  }

  async #lookAfter(): Promise<void> {
    try {
      await this.#deliveries.count();
      await this.#occupancy.lookAfter();
    } catch (error) {
      this.#deps.log.debug({ err: error }, "maintaining the webhook queues failed");
    }
  }
}
