import { webhookEvents, type WebhookEvent } from "../protocol/webhooks.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { WebhookEndpoint } from "./endpoints.ts";
import type { DeliveryQueueStore, WebhookMessage, EnqueueResult } from "./delivery-queue-store.ts";
import { createDeliveryQueue, type DeliveryQueue, type DeliveryOutcome, type QueueDeps } from "./delivery-queue.ts";

export interface DeliveriesDeps extends Omit<QueueDeps, "onOutcome"> {
  store: DeliveryQueueStore;
  metrics: Pick<Metrics, "webhooks" | "webhooksWaiting">;
  log: Logger;
}

/** All endpoints and their delivery queues. */
export class Deliveries {
  readonly #deps: DeliveriesDeps;
  readonly #endpoints: readonly WebhookEndpoint[];
  readonly #deadLettered = new Map<WebhookEndpoint, { count: number; reason: string }>();
  #queues: readonly DeliveryQueue[] = [];

  constructor(deps: DeliveriesDeps, endpoints: readonly WebhookEndpoint[]) {
    this.#deps = deps;
    this.#endpoints = endpoints;
  }

  start(): void {
    const queueDeps = { ...this.#deps, onOutcome: (outcome: DeliveryOutcome) => this.#count(outcome) };
    this.#queues = this.#endpoints.map((endpoint) => createDeliveryQueue(queueDeps, endpoint));
    for (const queue of this.#queues) queue.start();
    this.#deps.log.info({ to: this.#endpoints.map(({ origin }) => origin) }, "webhooks enabled");
  }

  async stop(deadline: AbortSignal): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.stop(deadline)));
    this.report();
  }

  /** Ids of the endpoints that are configured for the event. */
  endpointsFor(event: WebhookEvent): string[] {
    return this.#endpoints.filter(({ events }) => events.has(event)).map(({ id }) => id);
  }

  /** Call after a message was enqueued: starts deliveries and counts. */
  enqueued(entity: string, { type }: WebhookMessage, results: readonly EnqueueResult[]): void {
    for (const { endpoint, outcome } of results) {
      const isFull = outcome === "full";
      this.#deps.metrics.webhooks.inc({ event: type, outcome: isFull ? "dead" : "queued" });
      const queue = this.#queues.find((one) => one.endpoint.id === endpoint);
      if (isFull && queue !== undefined) this.#countDeadLetter(queue.endpoint, "too many messages are queued");
      if (outcome === "first") queue?.send(entity);
    }
  }

  /** Updates the gauge of queued messages. */
  async measure(): Promise<void> {
    const waiting = await Promise.all(this.#endpoints.map(({ id }) => this.#deps.store.waiting(id)));
    this.#deps.metrics.webhooksWaiting.set(waiting.reduce((sum, count) => sum + count, 0));
  }

  /** Logs one line per endpoint with dead letters since the last report. */
  report(): void {
    for (const [{ origin }, { count, reason }] of this.#deadLettered) {
      this.#deps.log.warn({ to: origin, count, reason }, "webhooks dead-lettered");
    }
    this.#deadLettered.clear();
  }

  #count({ endpoint, message, result, failure = "" }: DeliveryOutcome): void {
    // A newer version may have queued unknown events; metric labels stay bounded.
    const event = webhookEvents.includes(message.type) ? message.type : "other";
    this.#deps.metrics.webhooks.inc({ event, outcome: result });
    if (result === "dead") this.#countDeadLetter(endpoint, failure);
    if (result === "retried")
      this.#deps.log.debug({ to: endpoint.origin, id: message.id, failure }, "webhook delivery failed; retrying");
  }

  #countDeadLetter(endpoint: WebhookEndpoint, reason: string): void {
    this.#deadLettered.set(endpoint, { count: (this.#deadLettered.get(endpoint)?.count ?? 0) + 1, reason });
  }
}
