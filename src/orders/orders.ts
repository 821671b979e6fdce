import type { TakeSnapshot } from "../channels/subscription.ts";
import type { HistoryOptions } from "../channels/kinds.ts";
import { GatewayError } from "../protocol/errors.ts";
import { maxNameLength, subjectOf } from "../protocol/names.ts";
import { wrong } from "../protocol/parse-with.ts";
import type { Order, OpenOrders, OrderWithTimeline } from "../protocol/order.ts";
import type {
  OrderCreateBody,
  OrderEventAnswer,
  OrderEventBody,
  OrderRemoved,
  OrderSignalAnswer,
  OrderSignalBody,
  OrdersPage,
  OrdersQuery,
  OrderUpdateBody,
} from "../protocol/orders.ts";
import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { RedisClient } from "../redis/connections.ts";
import { createDueWorker, type DueWorker } from "../redis/queues/due-worker.ts";
import type { Keys } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Spans } from "../runtime/spans.ts";
import { createChannelTargets } from "./channel-targets.ts";
import type { OrderingRules } from "./event-ordering.ts";
import { createInspectOrder, type InspectOrder } from "./inspection.ts";
import { createOrderWriter, type OrderWriter } from "./order-writer.ts";
import { decideCreate, decideEvent, decideRelease, decideTimeout, type EventDecision } from "./decisions.ts";
import {
  createSubscriptionExpiry,
  type SubscriptionExpiry,
  type SubscriptionExpiryDeps,
} from "./subscription-expiry.ts";
import { createScheduledCheckStore, type OrderCheck, type ScheduledCheck } from "./scheduled-check-store.ts";
import { createTransitionTable, type OrderTimeouts } from "./transitions.ts";
import { orderDefaults, type OrdersOptions } from "./order-options.ts";
import { createOrderIndexStore, type OrderIndexStore } from "./order-index-store.ts";
import { createOrderRemoval, type OrderRemoval } from "./order-removal.ts";
import { toOrder } from "./order-record.ts";
import { createOrderStore, type OrderStore } from "./order-store.ts";
import { createOrderUpdates, type OrderUpdates, type UpdatedOrder } from "./order-updates.ts";
import { createPartyStore, type PartyStore } from "./party-store.ts";
import { createSignalStore } from "./signal-store.ts";
import { createSignals, type Signals } from "./signals.ts";
import { createUserOrders, type UserOrders } from "./user-orders.ts";
import { createOutboxDispatcher, type DeadLetterEvent, type OutboxDispatcher, type NotifyStatus } from "./outbox.ts";

export interface OrdersDeps {
  /** Connection of role `commands`. */
  commands: RedisClient;
  keys: Keys;
  isCluster: boolean;
  /** Omit for no traces. */
  spans?: Spans | undefined;
  /** History options of a channel, from its kind. */
  historyOf: (channel: string) => HistoryOptions;
  deadLetter: DeadLetterEvent;
  /** Called for each applied status, at least once and in order. */
  notifyStatus?: NotifyStatus | undefined;
  removeSubscription: SubscriptionExpiryDeps["removeSubscription"];
  /** Sends a control command to all nodes; resolves when every live node has confirmed it. */
  command: (command: OrderControlCommand) => Promise<{ count: number; nodes: number; acknowledged: number }>;
  /** Of nodes that live. */
  nodeCount: () => number;
  clock: Clock;
  log: Logger;
}

/** Control command to all nodes: end the subscriptions to an order, of all subscribers or of users who left it. */
export type OrderControlCommand =
  { type: "order.ended"; orderId: string } | { type: "order.updated"; orderId: string; users: readonly string[] };

/**
 * Orders: their statuses follow the configured transitions even if upstreams repeat or reorder events, and parties see
 * each status once and in order. `event-ordering.ts` decides what an event does; `order-store.ts` describes the
 * guarantees of saving it.
 */
export class Orders implements Service {
  readonly name = "orders";
  readonly inspect: InspectOrder;
  readonly #rules: OrderingRules;
  readonly #store: OrderStore;
  readonly #timeouts: OrderTimeouts;
  readonly #parties: PartyStore;
  readonly #index: OrderIndexStore;
  readonly #updates: OrderUpdates;
  readonly #removal: OrderRemoval;
  readonly #ofUsers: UserOrders;
  readonly #dispatcher: OutboxDispatcher;
  readonly #writer: OrderWriter;
  readonly #signals: Signals;
  readonly #dueWorker: DueWorker<ScheduledCheck>;
  readonly #subscriptionExpiry: SubscriptionExpiry;

  constructor(deps: OrdersDeps, given: OrdersOptions) {
    const { commands, keys, historyOf, deadLetter, notifyStatus, clock, log } = deps;
    const options = { ...orderDefaults, ...given };
    this.#timeouts = given.timeouts ?? {};
    const redis = { commands, keys, targets: createChannelTargets(deps, historyOf) };
    const checks = createScheduledCheckStore({ ...redis, onScheduled: (dueInMs) => this.#dueWorker.expect(dueInMs) });
    this.#rules = {
      transitions: createTransitionTable(options.transitions),
      windowMs: options.reorderWindowMs,
      maxHeld: options.maxHeld,
    };
    this.#store = createOrderStore(redis, options);
    this.inspect = createInspectOrder(this.#store, checks);
    this.#parties = createPartyStore(redis, options);
    this.#index = createOrderIndexStore(redis, options);
    this.#dispatcher = createOutboxDispatcher({
      store: this.#store,
      parties: this.#parties,
      index: this.#index,
      deadLetter,
      notifyStatus,
      log,
    });
    const endSubscriptions = async (orderId: string) => void (await deps.command({ type: "order.ended", orderId }));
    this.#writer = createOrderWriter({
      store: this.#store,
      checks,
      dispatcher: this.#dispatcher,
      endSubscriptions,
      timeouts: this.#timeouts,
      log,
    });
    this.#updates = createOrderUpdates({
      store: this.#store,
      checks,
      writer: this.#writer,
      transitions: this.#rules.transitions,
      async endSubscriptionsOf(orderId, users) {
        const { count, ...nodes } = await deps.command({ type: "order.updated", orderId, users });
        return { ended: count, ...nodes };
      },
      nodeCount: deps.nodeCount,
    });
    this.#removal = createOrderRemoval({
      store: this.#store,
      parties: this.#parties,
      index: this.#index,
      checks,
      dispatcher: this.#dispatcher,
      endSubscriptions,
    });
    this.#ofUsers = createUserOrders({
      store: this.#store,
      parties: this.#parties,
      index: this.#index,
      update: (orderId, body) => this.update(orderId, body),
      remove: (orderId) => this.#removal.remove(orderId),
    });
    this.#subscriptionExpiry = createSubscriptionExpiry({
      ...deps,
      remainingMs: (orderIds) => this.#store.remainingMs(orderIds),
      isParty: (orderId, userId) => this.#store.isParty(orderId, userId),
    });
    this.#signals = createSignals({ store: createSignalStore(redis, options), checks, dispatcher: this.#dispatcher });
    this.#dueWorker = createDueWorker({
      claim: checks.claim,
      perform: async (scheduled) => {
        await this.#runCheck(scheduled.check);
        await checks.drop([scheduled]);
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
    this.#subscriptionExpiry.stop();
    return this.#dueWorker.stop();
  }

  onSubscription(change: SubscriptionChange): void {
    this.#subscriptionExpiry.onSubscription(change);
  }

  /** Performs a control command; returns how many subscriptions it ended. */
  perform({ orderId, users }: { type: string; orderId?: unknown; users?: unknown }): number {
    if (typeof orderId !== "string") return 0;
    return Array.isArray(users)
      ? this.#subscriptionExpiry.endOf(orderId, users.map(String))
      : this.#subscriptionExpiry.end(orderId);
  }

  /** Creating again with the same content returns the order; with different content it throws `conflict`. */
  async create(body: OrderCreateBody): Promise<{ order: Order }> {
    const order = await this.#writer.update(body.orderId, undefined, (loaded) =>
      decideCreate(this.#rules.transitions, body, loaded),
    );
    return { order };
  }

  /** Throws `not_found`, `illegal_transition`, and `rate_limited` if the order already holds the maximum of early events. */
  async apply(orderId: string, body: OrderEventBody): Promise<OrderEventAnswer> {
    const event = { ...body, eventId: body.eventId ?? keyAsEventId(body.idempotencyKey) };
    const decision = await this.#writer.update(orderId, event.eventId, (loaded) =>
      decideEvent(this.#rules, event, loaded),
    );
    return this.#toAnswer(decision, body.status);
  }

  /**
   * Changes parties and data. Resolves when added parties may subscribe and removed ones have lost their subscriptions on
   * all nodes that confirmed. Throws `not_found`, and `bad_request` for too many parties.
   */
  update(orderId: string, body: OrderUpdateBody): Promise<UpdatedOrder> {
    return this.#updates.update(orderId, body, keyAsEventId(body.idempotencyKey));
  }

  /** A user's orders, the newest first; at most `max`. */
  ofUser(userId: string, max: number): Promise<Order[]> {
    return this.#ofUsers.of(userId, max);
  }

  /** Deletes the user's own orders, and removes the user from all others. */
  eraseUser(userId: string): Promise<{ orders: number; parties: number }> {
    return this.#ofUsers.erase(userId);
  }

  /** Deletes an order; its parties lose their subscriptions and see it leave their lists. */
  async remove(orderId: string): Promise<OrderRemoved> {
    return { removed: await this.#removal.remove(orderId) };
  }

  /** A page of orders, newest first. Throws `bad_request` for a status that is not configured. */
  async list({ user, status, limit = 50, cursor }: OrdersQuery): Promise<OrdersPage> {
    if (status !== undefined && !this.#rules.transitions.isKnown(status))
      throw wrong("status", "is not a configured status");
    const after = cursor === undefined ? undefined : memberOf(cursor);
    const page = await this.#index.list({ user, status, limit, cursor: after });
    const loaded = await Promise.all(page.orders.map(({ orderId }) => this.#store.load(orderId)));
    const orders = loaded.flatMap(({ order }, index) => {
      const isListed =
        order?.record.createdAt === page.orders[index]?.createdAt &&
        (user === undefined || Object.values(order?.record.parties ?? {}).includes(user)) &&
        (status === undefined || order?.state.status === status);
      return order !== undefined && isListed ? [toOrder(order)] : [];
    });
    return { orders, ...(page.cursor !== undefined && { cursor: Buffer.from(page.cursor).toString("base64url") }) };
  }

  /** Throws `not_found`. Only the latest signal of a name is stored, and it is never part of the timeline. */
  async signal(orderId: string, signal: OrderSignalBody, idempotencyTtlSeconds?: number): Promise<OrderSignalAnswer> {
    await this.#signals.signal(orderId, signal, idempotencyTtlSeconds);
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

  /** For users that may read it. An unknown order is `forbidden`, as is one that a user may not read. */
  async getForUser(orderId: string): Promise<OrderWithTimeline> {
    const found = await this.#store.read(orderId);
    if (found === undefined) throw forbidden();
    return found.value;
  }

  /** The user's open orders, the last updated first. */
  async openOrdersOf(userId: string): Promise<OpenOrders> {
    return (await this.#parties.openOrders(userId)).value;
  }

  /** Whether the user is a party. False for an unknown order. */
  mayRead(orderId: string, userId: string): Promise<boolean> {
    return this.#store.isParty(orderId, userId);
  }

  /** Snapshot of `order:{orderId}`; the caller has already checked that the user may read it. */
  readonly takeOrderSnapshot: TakeSnapshot = async (channel) => {
    const found = await this.#store.read(subjectOf(channel));
    if (found === undefined) throw forbidden();
    return found;
  };

  /** Snapshot of `orders:{userId}`. */
  readonly takeOpenOrdersSnapshot: TakeSnapshot = (channel) => this.#parties.openOrders(subjectOf(channel));

  #toAnswer({ outcome, order, from }: EventDecision, status: string): OrderEventAnswer {
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

  async #timeOut(check: OrderCheck & { kind: "timeout" }): Promise<void> {
    const to = this.#timeouts[check.status]?.to;
    if (to === undefined) return;
    await this.#writer.update(check.orderId, undefined, (loaded) =>
      decideTimeout(this.#rules, { ...check, to }, loaded),
    );
  }

  async #runCheck(check: OrderCheck): Promise<void> {
    if (check.kind === "signal") return this.#signals.flush(check.orderId, check.name);
    if (check.kind === "parties") return this.#store.restoreParties(check.orderId, check.updateId ?? "");
    if (check.kind === "removal") return this.#removal.finish(check);
    if (check.kind === "timeout") return this.#timeOut(check);
    await this.#writer.update(check.orderId, undefined, (loaded) => decideRelease(this.#rules.transitions, loaded));
    const outbox = await this.#store.outbox(check.orderId);
    if (!(await this.#dispatcher.dispatch(check.orderId, outbox))) throw new Error("order event not delivered");
  }
}

const forbidden = (): GatewayError => new GatewayError("forbidden", undefined, { field: "orderId" });

/** Detects a repeat even if the first was applied and its response lost. */
function keyAsEventId(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  return `key:${key.length > longestPlainKey ? fingerprint(key) : key}`;
}

/** With the prefix it is still a valid name. */
const longestPlainKey = maxNameLength - "key:".length;

/** The index's member that a cursor names. Throws `bad_request`. */
function memberOf(cursor: string): string {
  const member = Buffer.from(cursor, "base64url").toString();
  if (!/^\d{15}:/.test(member)) throw wrong("cursor", "is not a cursor of this list");
  return member;
}
