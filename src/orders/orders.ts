import type { TakeSnapshot } from "../channels/answers.ts";
import type { HistoryOptions } from "../channels/kinds.ts";
import { GatewayError } from "../protocol/errors.ts";
import { maxNameLength, subjectOf } from "../protocol/names.ts";
import type {
  Order,
  OrderCreateBody,
  OrderEventAnswer,
  OrderEventBody,
  OrderSignalAnswer,
  OrderSignalBody,
  OrderWithTimeline,
} from "../protocol/orders.ts";
import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { RedisClient } from "../redis/connections.ts";
import { createDueWorker, type DueWorker } from "../redis/due-worker.ts";
import type { Keys } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import { createChannelTargets } from "./append-parts.ts";
import type { ArrivalRules } from "./event-ordering.ts";
import { createChanges, type Changes } from "./order-writer.ts";
import { decideCreate, decideEvent, decideRelease, type Judged } from "./decisions.ts";
import { createLives, type Lives, type LivesDeps } from "./subscription-expiry.ts";
import { createLookStore, type Look, type PlannedLook } from "./scheduled-check-store.ts";
import { createTransitionTable, type Transitions } from "./transitions.ts";
import { toOrder } from "./order-record.ts";
import { createOrderStore, type OrderStore, type OrderStoreOptions } from "./order-store.ts";
import { createPartyStore, type PartyStore } from "./party-store.ts";
import { createSignalStore, type SignalStoreOptions } from "./signal-store.ts";
import { createSignals, type Signals } from "./signals.ts";
import { createTelling, type DeadLetterEvent, type Telling, type NotifyStatus } from "./outbox.ts";

export interface OrdersOptions extends Partial<OrderStoreOptions>, Partial<SignalStoreOptions> {
  /** From each status, the statuses an order may move to; orders begin at the first. */
  transitions: Transitions;
  /** Milliseconds an event that came too early waits for the ones before it. @default 5000 */
  reorderWindowMs?: number;
  /** Early events held per order; more are refused as `rate_limited`. @default 32 */
  mostHeld?: number;
  /** Open orders in a user's list. @default 100 */
  mostOpen?: number;
}

const defaults = {
  reorderWindowMs: 5_000,
  mostHeld: 32,
  mostOpen: 100,
  lifeSeconds: 7 * 86_400,
  endedLifeSeconds: 86_400,
  timelineSize: 200,
  seenIds: 1_000,
  signalEveryMs: 500,
  signalNames: 32,
  idempotencyTtlSeconds: 86_400,
};

export interface OrdersDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  keys: Keys;
  isCluster: boolean;
  /** History of a channel, as its kind is configured. */
  historyOf: (channel: string) => HistoryOptions;
  deadLetter: DeadLetterEvent;
  /** Told of each status that was applied, once or more and in order. */
  notifyStatus?: NotifyStatus | undefined;
  removeSubscription: LivesDeps["removeSubscription"];
  /** Has each node perform a command; resolves when every living one has. */
  command: (command: OrderCommand) => Promise<unknown>;
  clock: Clock;
  log: Logger;
}

/** What nodes ask of each other: to end their subscriptions of an order whose life is over. */
export interface OrderCommand {
  type: "order.ended";
  orderId: string;
}

/**
 * Orders: their statuses follow the configured moves whatever upstreams repeat or reorder, and parties see each once and
 * in order. What an event does is decided in `arrival.ts`; what is promised of saving it, in `order-store.ts`.
 */
export class Orders implements Service {
  readonly name = "orders";
  readonly #rules: ArrivalRules;
  readonly #store: OrderStore;
  readonly #parties: PartyStore;
  readonly #telling: Telling;
  readonly #changes: Changes;
  readonly #signals: Signals;
  readonly #dueWorker: DueWorker<PlannedLook>;
  readonly #lives: Lives;

  constructor(deps: OrdersDeps, given: OrdersOptions) {
    const { commands, keys, isCluster, historyOf, deadLetter, notifyStatus, clock, log } = deps;
    const options = { ...defaults, ...given };
    const redis = { commands, keys, targets: createChannelTargets(keys, isCluster, historyOf) };
    const looks = createLookStore({ ...redis, onPlanned: (dueInMs) => this.#dueWorker.expect(dueInMs) });
    this.#rules = {
      moves: createTransitionTable(options.transitions),
      windowMs: options.reorderWindowMs,
      mostHeld: options.mostHeld,
    };
    this.#store = createOrderStore(redis, options);
    this.#parties = createPartyStore(redis, options);
    this.#telling = createTelling({ store: this.#store, parties: this.#parties, deadLetter, notifyStatus, log });
    const endSubscriptions = async (orderId: string) => void (await deps.command({ type: "order.ended", orderId }));
    this.#changes = createChanges({ store: this.#store, looks, telling: this.#telling, endSubscriptions, log });
    this.#lives = createLives({ ...deps, remainingMs: (orderIds) => this.#store.remainingMs(orderIds) });
    this.#signals = createSignals({ store: createSignalStore(redis, options), looks, telling: this.#telling });
    this.#dueWorker = createDueWorker({
      claim: looks.claim,
      perform: async (planned) => {
        await this.#lookAfter(planned.look);
        await looks.drop([planned]);
      },
      task: "due-order check",
      clock,
      log,
    });
  }

  start(): void {
    this.#dueWorker.start();
  }

  stop(): Promise<void> {
    this.#lives.stop();
    return this.#dueWorker.stop();
  }

  onSubscription(change: SubscriptionChange): void {
    this.#lives.onSubscription(change);
  }

  /** Carries out a command of another node; returns how many subscriptions it met. */
  perform({ type, orderId }: { type: string; orderId?: unknown }): number {
    return type === "order.ended" && typeof orderId === "string" ? this.#lives.end(orderId) : 0;
  }

  /** Creating again with the same content answers as before; with other content it is a `conflict`. */
  async create(body: OrderCreateBody): Promise<{ order: Order }> {
    const order = await this.#changes.change(body.orderId, undefined, (loaded) =>
      decideCreate(this.#rules.moves, body, loaded),
    );
    return { order };
  }

  /** Throws `not_found`, `illegal_transition`, and `rate_limited` where the order holds as many early events as it may. */
  async apply(orderId: string, body: OrderEventBody): Promise<OrderEventAnswer> {
    const event = { ...body, eventId: body.eventId ?? keyAsEventId(body.idempotencyKey) };
    const judged = await this.#changes.change(orderId, event.eventId, (loaded) =>
      decideEvent(this.#rules, event, loaded),
    );
    return this.#toAnswer(judged, body.status);
  }

  /** Throws `not_found`. Only the latest of a name is kept, and it is never part of the timeline. */
  async signal(orderId: string, signal: OrderSignalBody): Promise<OrderSignalAnswer> {
    await this.#signals.signal(orderId, signal);
    return { channel: `order:${orderId}` };
  }

  /** For backends. Throws `not_found`. */
  async get(orderId: string): Promise<OrderWithTimeline> {
    const found = await this.#store.read(orderId);
    if (found === undefined) throw new GatewayError("not_found", "No such order.", { field: "orderId" });
    return found.value;
  }

  /** Users by role; undefined for an unknown order. */
  async partiesOf(orderId: string): Promise<Order["parties"] | undefined> {
    return (await this.#store.load(orderId)).order?.record.parties;
  }

  /** For a user. Throws `forbidden` where the user is no party, whether there is such an order or not. */
  async getAs(userId: string, orderId: string): Promise<OrderWithTimeline> {
    if (!(await this.mayRead(orderId, userId))) throw forbidden();
    const found = await this.#store.read(orderId);
    if (found === undefined) throw forbidden();
    return found.value;
  }

  mayRead(orderId: string, userId: string): Promise<boolean> {
    return this.#store.isParty(orderId, userId);
  }

  /** Snapshot of `order:{orderId}`; whether the user may read it was asked before. */
  readonly takeOrderSnapshot: TakeSnapshot = async (channel) => {
    const found = await this.#store.read(subjectOf(channel));
    if (found === undefined) throw forbidden();
    return found;
  };

  /** Snapshot of `orders:{userId}`. */
  readonly takeOpenOrdersSnapshot: TakeSnapshot = (channel) => this.#parties.openOrders(subjectOf(channel));

  #toAnswer({ outcome, order, from }: Judged, status: string): OrderEventAnswer {
    if (outcome === "illegal") {
      const reason = `The order is ${from} and cannot move to ${status}.`;
      throw new GatewayError("illegal_transition", reason, { field: "status" });
    }
    if (outcome === "full") {
      const reason = "The order already holds the maximum number of early events.";
      throw new GatewayError("rate_limited", reason, { field: "sequence", retryAfterMs: this.#rules.windowMs });
    }
    return outcome === "applied"
      ? { order: toOrder(order), applied: true }
      : { order: toOrder(order), applied: false, reason: outcome };
  }

  async #lookAfter(look: Look): Promise<void> {
    if (look.kind === "signal") return this.#signals.flush(look.orderId, look.name);
    await this.#changes.change(look.orderId, undefined, (loaded) => decideRelease(this.#rules.moves, loaded));
    const outbox = await this.#store.outbox(look.orderId);
    if (!(await this.#telling.tell(look.orderId, outbox))) throw new Error("order event not delivered");
  }
}

const forbidden = (): GatewayError => new GatewayError("forbidden", undefined, { field: "orderId" });

/** So that a repeat is known even where the first was applied and its answer lost. */
function keyAsEventId(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  return `key:${key.length > longestPlainKey ? fingerprint(key) : key}`;
}

/** With the prefix still a name. */
const longestPlainKey = maxNameLength - "key:".length;
