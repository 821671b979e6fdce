import { createDueWorker, type DueWorker } from "../redis/due-worker.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Deliver, Failure } from "./delivery.ts";
import type { Endpoint } from "./endpoints.ts";
import type { Head, LaneStore, Message } from "./lane-store.ts";

export interface QueueDeps {
  lanes: LaneStore;
  deliver: Deliver;
  onOutcome: (outcome: Outcome) => void;
  clock: Clock;
  log: Logger;
}

/** What became of one try. */
export interface Outcome {
  endpoint: Endpoint;
  message: Message;
  result: "delivered" | "retried" | "dead";
  failure?: Failure;
}

/**
 * The deliveries to one endpoint. A lane is in the due set of its endpoint: at the time of the next try of its head, or
 * while a node delivers it, at the end of that node's claim, which it renews. So a lane is delivered by one node at a
 * time, and what a dead node held is due again.
 */
export interface DeliveryQueue {
  readonly endpoint: Endpoint;
  start(): void;
  /** Sends the head of a lane that this node has claimed by taking a message in. Never rejects. */
  send(entity: string): void;
  /** Lets go of what is under way after a moment, for other nodes to try again. */
  stop(deadline: AbortSignal): Promise<void>;
}

/** Milliseconds that deliveries under way are waited for when the node stops. */
const stopPatienceMs = 1_000;

export function createDeliveryQueue(deps: QueueDeps, endpoint: Endpoint): DeliveryQueue {
  return new LaneQueue(deps, endpoint);
}

class LaneQueue implements DeliveryQueue {
  readonly endpoint: Endpoint;
  readonly #deps: QueueDeps;
  readonly #worker: DueWorker<string>;
  /** Lanes that are being delivered here, or wait for a place; true where a message came into one that had been empty. */
  readonly #held = new Map<string, boolean>();
  readonly #stopping = new AbortController();
  #cancel: Cancel = () => undefined;

  constructor(deps: QueueDeps, endpoint: Endpoint) {
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
    const { clock, lanes } = this.#deps;
    this.#worker.start();
    this.#cancel = clock.every(lanes.leaseMs / 3, () => this.#renew([...this.#held.keys()], lanes.leaseMs));
  }

  send(entity: string): void {
    const isHeld = this.#held.has(entity);
    this.#held.set(entity, isHeld);
    if (isHeld || this.#worker.take(entity)) return;
    this.#held.delete(entity);
    this.#renew([entity], 0);
  }

  async stop(deadline: AbortSignal): Promise<void> {
    const letGo = (): void => this.#stopping.abort();
    const cancelWait = this.#deps.clock.after(stopPatienceMs, letGo);
    deadline.addEventListener("abort", letGo, { once: true });
    await this.#worker.stop();
    cancelWait();
    letGo();
    this.#cancel();
    this.#renew([...this.#held.keys()], 0);
  }

  /** Without those that are held here already: their claim could not be renewed in time. */
  async #claim(most: number): Promise<{ due: string[]; nextInMs: number | undefined }> {
    const claimed = await this.#deps.lanes.claim(this.endpoint.id, most);
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

  /** Whether the next of the lane is to be delivered at once. */
  async #deliverHead(entity: string): Promise<boolean> {
    const { lanes, deliver, onOutcome } = this.#deps;
    const { endpoint } = this;
    const head = await lanes.head(endpoint.id, entity);
    if (head === undefined) return lanes.next(endpoint.id, entity);
    const failure = await deliver(endpoint, head.message, this.#stopping.signal);
    if (failure !== undefined) return this.#failed(entity, head, failure);
    onOutcome({ endpoint, message: head.message, result: "delivered" });
    return this.#goOn(entity, await lanes.done(endpoint.id, entity, head.message.id));
  }

  async #failed(entity: string, { message, tries }: Head, failure: NonNullable<Failure>): Promise<boolean> {
    const { lanes, onOutcome } = this.#deps;
    const { endpoint } = this;
    // Not counted: it was this node that broke it off.
    if (this.#stopping.signal.aborted) return lanes.due(endpoint.id, [entity], 0).then(() => false);
    const isLast = tries + 1 >= endpoint.tries;
    onOutcome({ endpoint, message, result: isLast ? "dead" : "retried", failure });
    if (isLast) {
      const death = { reason: `${endpoint.origin} ${failure}`, tries: tries + 1 };
      return this.#goOn(entity, await lanes.bury(endpoint.id, entity, message.id, death));
    }
    const pauseMs = pauseAfter(tries + 1, endpoint);
    await lanes.retry(endpoint.id, entity, { id: message.id, tries: tries + 1, pauseMs });
    this.#worker.expect(pauseMs);
    return false;
  }

  /** Where others wait for a place, a long lane goes behind them. */
  async #goOn(entity: string, isThereMore: boolean): Promise<boolean> {
    if (!isThereMore) return false;
    if (!this.#worker.isFull && !this.#stopping.signal.aborted) return true;
    await this.#deps.lanes.due(this.endpoint.id, [entity], 0);
    return false;
  }

  /** Where it fails the lanes are due when the claim that there is ends. */
  #renew(entities: readonly string[], forMs: number): void {
    const { lanes, log } = this.#deps;
    lanes
      .due(this.endpoint.id, entities, forMs)
      .catch((error: unknown) => log.debug({ reason: String(error) }, "renewing webhook queue claims failed"));
  }
}

/** Doubled from try to try, and never quite the same, so that what failed together is not tried together. */
function pauseAfter(tries: number, { firstPauseMs, longestPauseMs }: Endpoint): number {
  return Math.min(firstPauseMs * 2 ** (tries - 1), longestPauseMs) * (0.75 + Math.random() / 2);
}
