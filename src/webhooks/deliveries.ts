import { webhookEvents, type WebhookEvent } from "../protocol/webhooks.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Endpoint } from "./endpoints.ts";
import type { LaneStore, Message, Taken } from "./lane-store.ts";
import { createDeliveryQueue, type DeliveryQueue, type Outcome, type QueueDeps } from "./queue.ts";

export interface DeliveriesDeps extends Omit<QueueDeps, "onOutcome"> {
  lanes: LaneStore;
  metrics: Pick<Metrics, "webhooks" | "webhooksWaiting">;
  log: Logger;
}

/** All endpoints and their queues: who wants what, and what becomes of it. */
export class Deliveries {
  readonly #deps: DeliveriesDeps;
  readonly #endpoints: readonly Endpoint[];
  readonly #troubles = new Map<Endpoint, { count: number; reason: string }>();
  #queues: readonly DeliveryQueue[] = [];

  constructor(deps: DeliveriesDeps, endpoints: readonly Endpoint[]) {
    this.#deps = deps;
    this.#endpoints = endpoints;
  }

  start(): void {
    const queueDeps = { ...this.#deps, onOutcome: (outcome: Outcome) => this.#note(outcome) };
    this.#queues = this.#endpoints.map((endpoint) => createDeliveryQueue(queueDeps, endpoint));
    for (const queue of this.#queues) queue.start();
    this.#deps.log.info({ to: this.#endpoints.map(({ origin }) => origin) }, "webhooks enabled");
  }

  async stop(deadline: AbortSignal): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.stop(deadline)));
    this.report();
  }

  /** Ids of the endpoints that want the event. */
  wanting(event: WebhookEvent): string[] {
    return this.#endpoints.filter(({ events }) => events.has(event)).map(({ id }) => id);
  }

  /** A message was taken in. */
  taken(entity: string, { type }: Message, taken: readonly Taken[]): void {
    for (const { endpoint, outcome } of taken) {
      const isFull = outcome === "full";
      this.#deps.metrics.webhooks.inc({ event: type, outcome: isFull ? "dead" : "queued" });
      const queue = this.#queues.find((one) => one.endpoint.id === endpoint);
      if (isFull && queue !== undefined) this.#isTrouble(queue.endpoint, "too many messages are queued");
      if (outcome === "first") queue?.send(entity);
    }
  }

  /** Counts what waits. */
  async count(): Promise<void> {
    const waiting = await Promise.all(this.#endpoints.map(({ id }) => this.#deps.lanes.waiting(id)));
    this.#deps.metrics.webhooksWaiting.set(waiting.reduce((sum, count) => sum + count, 0));
  }

  /** One line an endpoint that got less than it should have since the last report. */
  report(): void {
    for (const [{ origin }, { count, reason }] of this.#troubles) {
      this.#deps.log.warn({ to: origin, count, reason }, "webhooks dead-lettered");
    }
    this.#troubles.clear();
  }

  #note({ endpoint, message, result, failure = "" }: Outcome): void {
    // A queue may hold what a newer version put there; labels come from what this one knows.
    const event = webhookEvents.includes(message.type) ? message.type : "other";
    this.#deps.metrics.webhooks.inc({ event, outcome: result });
    if (result === "dead") this.#isTrouble(endpoint, failure);
    if (result === "retried")
      this.#deps.log.debug({ to: endpoint.origin, id: message.id, failure }, "webhook delivery failed; retrying");
  }

  #isTrouble(endpoint: Endpoint, reason: string): void {
    this.#troubles.set(endpoint, { count: (this.#troubles.get(endpoint)?.count ?? 0) + 1, reason });
  }
}
