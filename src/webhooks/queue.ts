import { DelayedError, Queue, Worker, type Job } from "bullmq";
import type { RedisClient } from "../redis/connections.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Deliver, Failure } from "./delivery.ts";
import type { Endpoint } from "./endpoints.ts";
import type { LaneStore, Message } from "./lane-store.ts";

export interface QueueDeps {
  /** Connection of role `webhooks`. */
  connection: RedisClient;
  /** What BullMQ puts before its keys; with a hash tag. */
  prefix: string;
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
 * The deliveries to one endpoint, as jobs of BullMQ: one for the head of each lane, named by the message, so that a job
 * added twice is one. BullMQ sees to retries, their pauses, and jobs of nodes that died; the lane to the order.
 */
export interface DeliveryQueue {
  readonly endpoint: Endpoint;
  /** Sees to it that the head of the lane is sent. Never rejects: a lane that does not move is looked after. */
  send(entity: string, id: string): void;
  /** Sees to lanes in which nothing moved for a while: who was to send their heads has died. */
  lookAfter(): Promise<void>;
  /** Lets go of what is under way after a moment, for other nodes to try again. */
  stop(deadline: AbortSignal): Promise<void>;
}

interface Delivery {
  entity: string;
}

type DeliveryJob = Job<Delivery, void, "deliver">;

/** Deliveries of a node to one endpoint at a time; a receiver that hangs holds each for its whole timeout. */
const mostAtOnce = 64;
/** Jobs on their way to the queue; where there are more, its connection is away, and lanes fall due by themselves. */
const mostUnsent = 1_000;
const mostLooks = 100;
/** Milliseconds for which a job belongs to a worker that is not heard of; checked as often. */
const stalledMs = 5_000;
/** Milliseconds that deliveries under way are waited for when the node stops. */
const stopPatienceMs = 1_000;

export function createDeliveryQueue(deps: QueueDeps, endpoint: Endpoint): DeliveryQueue {
  return new BullQueue(deps, endpoint);
}

class BullQueue implements DeliveryQueue {
  readonly endpoint: Endpoint;
  readonly #deps: QueueDeps;
  readonly #queue: Queue<DeliveryJob>;
  readonly #worker: Worker<Delivery, void, "deliver">;
  readonly #stopping = new AbortController();
  #unsent = 0;

  constructor(deps: QueueDeps, endpoint: Endpoint) {
    const { connection, prefix } = deps;
    // Its look at the version of Redis is needed: without, the library takes it for an old one and waits in whole seconds.
    const common = { connection, prefix };
    this.endpoint = endpoint;
    this.#deps = deps;
    this.#queue = new Queue(endpoint.id, { ...common, streams: { events: { maxLen: 100 } } });
    this.#worker = new Worker(endpoint.id, (job, token) => this.#process(job, token ?? ""), {
      ...common,
      concurrency: mostAtOnce,
      lockDuration: stalledMs,
      stalledInterval: stalledMs,
      // How often a node died over a message says nothing about the message.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      runRetryDelay: 500,
      settings: { backoffStrategy: (tries) => pauseAfter(tries, endpoint) },
    });
    const report = (error: Error): void => deps.log.warn({ reason: error.message }, "webhook queue");
    this.#queue.on("error", report);
    this.#worker.on("error", report);
  }

  send(entity: string, id: string): void {
    if (this.#unsent >= mostUnsent || this.#stopping.signal.aborted) return;
    this.#unsent += 1;
    this.#add(entity, id)
      .catch((error: unknown) => this.#deps.log.debug({ reason: String(error) }, "webhook left to a later look"))
      .finally(() => (this.#unsent -= 1));
  }

  async lookAfter(): Promise<void> {
    const { id } = this.endpoint;
    const entities = await this.#deps.lanes.claim(id, mostLooks);
    await Promise.all(entities.map((entity) => this.#goOn(entity, this.#deps.lanes.next(id, entity))));
  }

  async stop(deadline: AbortSignal): Promise<void> {
    const letGo = (): void => this.#stopping.abort();
    const cancel = this.#deps.clock.after(stopPatienceMs, letGo);
    deadline.addEventListener("abort", letGo, { once: true });
    await this.#worker.close();
    cancel();
    letGo();
    await this.#queue.close();
  }

  async #add(entity: string, id: string): Promise<void> {
    await this.#queue.add(
      "deliver",
      { entity },
      {
        jobId: id,
        attempts: this.endpoint.tries,
        backoff: { type: "custom" },
        removeOnComplete: true,
        removeOnFail: true,
        stackTraceLimit: 0,
      },
    );
  }

  /** Where the head is another, the job's message was dealt with before, by a worker that died or was frozen. */
  async #process(job: DeliveryJob, token: string): Promise<void> {
    const { lanes } = this.#deps;
    const { entity } = job.data;
    const head = await lanes.head(this.endpoint.id, entity);
    if (head === undefined || head.id !== job.id) await this.#goOn(entity, lanes.next(this.endpoint.id, entity));
    else await this.#deliver(job, token, head);
  }

  async #deliver(job: DeliveryJob, token: string, message: Message): Promise<void> {
    const { lanes, deliver, onOutcome } = this.#deps;
    const { entity } = job.data;
    const failure = await deliver(this.endpoint, message, this.#stopping.signal);
    if (failure === undefined) {
      onOutcome({ endpoint: this.endpoint, message, result: "delivered" });
      await this.#goOn(entity, lanes.done(this.endpoint.id, entity, message.id));
    } else await this.#failed(job, token, { message, failure });
  }

  async #failed(
    job: DeliveryJob,
    token: string,
    { message, failure }: { message: Message; failure: NonNullable<Failure> },
  ): Promise<void> {
    if (this.#stopping.signal.aborted) return leaveToOthers(job, token);
    const tries = job.attemptsMade + 1;
    const isOver = tries >= this.endpoint.tries;
    this.#deps.onOutcome({ endpoint: this.endpoint, message, result: isOver ? "dead" : "retried", failure });
    if (!isOver) throw new Error(failure);
    const { id, origin } = this.endpoint;
    const { entity } = job.data;
    const death = { reason: `${origin} ${failure}`, tries };
    await this.#goOn(entity, this.#deps.lanes.bury(id, entity, message.id, death));
  }

  async #goOn(entity: string, following: Promise<string | undefined>): Promise<void> {
    const id = await following;
    if (id !== undefined) await this.#add(entity, id);
  }
}

/** Doubled from try to try, and never quite the same, so that what failed together is not tried together. */
function pauseAfter(tries: number, { firstPauseMs, longestPauseMs }: Endpoint): number {
  return Math.min(firstPauseMs * 2 ** (tries - 1), longestPauseMs) * (0.75 + Math.random() / 2);
}

/** Without counting the try. */
async function leaveToOthers(job: DeliveryJob, token: string): Promise<never> {
  await job.moveToDelayed(Date.now(), token);
  throw new DelayedError();
}
