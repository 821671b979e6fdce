import { createDueWorker, type DueWorker } from "../redis/queues/due-worker.ts";
import { backoffDelay } from "../runtime/backoff.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { DeliverWebhook, DeliveryFailure } from "./delivery.ts";
import type { WebhookEndpoint } from "./endpoints.ts";
import type { QueuedMessage, DeliveryQueueStore, WebhookMessage } from "./delivery-queue-store.ts";

export interface QueueDeps {
  store: DeliveryQueueStore;
  deliver: DeliverWebhook;
  onOutcome: (outcome: DeliveryOutcome) => void;
  clock: Clock;
  log: Logger;
}

/** The outcome of one attempt. */
export interface DeliveryOutcome {
  endpoint: WebhookEndpoint;
  message: WebhookMessage;
  result: "delivered" | "retried" | "dead";
  failure?: DeliveryFailure;
}

/**
 * Deliveries to one endpoint. A queue that is not empty is in the endpoint's due set: at the time of the next attempt, or
 * while a node delivers it, at the end of that node's claim, which the node renews. So one node at a time delivers a
 * queue, and the queues of a dead node become due again.
 */
export interface DeliveryQueue {
  readonly endpoint: WebhookEndpoint;
  start(): void;
  /** Delivers a queue that this node has claimed by enqueueing its first message. */
  send(entity: string): void;
  /** Waits briefly for pending requests, then aborts them; other nodes retry. */
  stop(deadline: AbortSignal): Promise<void>;
}

/** Milliseconds to wait for pending requests when the node stops. */
const stopGraceMs = 1_000;

export function createDeliveryQueue(deps: QueueDeps, endpoint: WebhookEndpoint): DeliveryQueue {
  return new EntityQueues(deps, endpoint);
}

class EntityQueues implements DeliveryQueue {
  readonly endpoint: WebhookEndpoint;
  readonly #deps: QueueDeps;
  readonly #worker: DueWorker<string>;
  /** Queues that this node delivers or is about to; true if a message was added to an empty one meanwhile. */
  readonly #held = new Map<string, boolean>();
  /** Queues whose next attempt is being planned: a renewal would come after that and change its time. */
  readonly #planned = new Set<string>();
  readonly #stopping = new AbortController();
  #cancel: Cancel = () => undefined;

  constructor(deps: QueueDeps, endpoint: WebhookEndpoint) {
    this.endpoint = endpoint;
    this.#deps = deps;
    this.#worker = createDueWorker({
      ...deps,
      claim: (most) => this.#claim(most),
      perform: (entity) => this.#perform(entity),
      task: "webhook delivery",
    });
  }

  start(): void {
    const { clock, store } = this.#deps;
    this.#worker.start();
    const renewed = () => [...this.#held.keys()].filter((entity) => !this.#planned.has(entity));
    this.#cancel = clock.every(store.leaseMs / 3, () => this.#renew(renewed(), store.leaseMs));
  }

  send(entity: string): void {
    const isHeld = this.#held.has(entity);
    this.#held.set(entity, isHeld);
    if (isHeld || this.#worker.take(entity)) return;
    this.#held.delete(entity);
    this.#renew([entity], 0);
  }

  async stop(deadline: AbortSignal): Promise<void> {
    const abort = (): void => this.#stopping.abort();
    const cancelWait = this.#deps.clock.after(stopGraceMs, abort);
    deadline.addEventListener("abort", abort, { once: true });
    await this.#worker.stop();
    cancelWait();
    abort();
    this.#cancel();
    this.#renew([...this.#held.keys()], 0);
  }

  /** Skips queues that this node already holds: their claims were not renewed in time. */
  async #claim(most: number): Promise<{ due: string[]; nextInMs: number | undefined }> {
    const claimed = await this.#deps.store.claim(this.endpoint.id, most);
    const due = claimed.due.filter((entity) => !this.#held.has(entity));
    for (const entity of due) this.#held.set(entity, false);
    return { ...claimed, due };
  }

  async #perform(entity: string): Promise<void> {
    try {
      do {
        this.#held.set(entity, false);
        while (await this.#deliverHead(entity));
      } while (this.#held.get(entity) === true);
    } finally {
      this.#held.delete(entity);
    }
  }

  /** Resolves to whether the next message should be delivered at once. */
  async #deliverHead(entity: string): Promise<boolean> {
    const { store, deliver, onOutcome } = this.#deps;
    const { endpoint } = this;
    const head = await store.head(endpoint.id, entity);
    if (head === undefined) return store.dropIfEmpty(endpoint.id, entity);
    const failure = await deliver(endpoint, head.message, this.#stopping.signal);
    if (failure !== undefined) return this.#failed(entity, head, failure);
    onOutcome({ endpoint, message: head.message, result: "delivered" });
    return this.#continue(entity, await store.ack(endpoint.id, entity, head.message.id));
  }

  async #failed(
    entity: string,
    { message, tries }: QueuedMessage,
    failure: NonNullable<DeliveryFailure>,
  ): Promise<boolean> {
    const { store, onOutcome } = this.#deps;
    const { endpoint } = this;
    // Not counted as an attempt: this node aborted the request.
    if (this.#stopping.signal.aborted)
      return this.#plan(entity, store.setDue(endpoint.id, [entity], 0)).then(() => false);
    const isLast = tries + 1 >= endpoint.tries;
    onOutcome({ endpoint, message, result: isLast ? "dead" : "retried", failure });
    if (isLast) {
      const givenUp = { reason: `${endpoint.origin} ${failure}`, tries: tries + 1 };
      return this.#continue(entity, await store.deadLetter(endpoint.id, entity, message.id, givenUp));
    }
    const pauseMs = backoffMs(tries + 1, endpoint);
    await this.#plan(entity, store.retry(endpoint.id, entity, { id: message.id, tries: tries + 1, pauseMs }));
    this.#worker.expect(pauseMs);
    return false;
  }

  /** If other queues wait for a slot, a long queue goes behind them. */
  async #continue(entity: string, hasNext: boolean): Promise<boolean> {
    if (!hasNext) return false;
    if (!this.#worker.isFull && !this.#stopping.signal.aborted) return true;
    await this.#plan(entity, this.#deps.store.setDue(this.endpoint.id, [entity], 0));
    return false;
  }

  async #plan(entity: string, planning: Promise<void>): Promise<void> {
    this.#planned.add(entity);
    await planning.finally(() => this.#planned.delete(entity));
  }

  /** If this fails, the queues become due when their current claims end. */
  #renew(entities: readonly string[], forMs: number): void {
    const { store, log } = this.#deps;
    store
      .setDue(this.endpoint.id, entities, forMs)
      .catch((error: unknown) => log.debug({ reason: String(error) }, "renewing webhook queue claims failed"));
  }
}

const backoffMs = (tries: number, { firstPauseMs, longestPauseMs }: WebhookEndpoint): number =>
  backoffDelay(tries - 1, { minMs: firstPauseMs, maxMs: longestPauseMs });
