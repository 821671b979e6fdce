import type { Redis } from "ioredis";
import type { Clock } from "../../runtime/clock.ts";
import { createBatcher, type LoadOne } from "../../runtime/batcher.ts";
import type { RedisClient } from "../connections.ts";
import { createShards, type Shards } from "./shards.ts";
import { slotOf } from "../slots.ts";

/**
 * Sharded pub/sub for the whole node, over one connection, on a Cluster over one to each master. At most once: messages
 * published while a connection was down are lost, so subscribers read their log when the feed was restored.
 */
export interface ShardedFeed {
  /** Resolves when Redis confirmed: later messages are received. Rejects if Redis is unreachable. */
  subscribe(key: string, onMessage: (message: Buffer) => void): Promise<void>;
  unsubscribe(key: string): void;
  /** Calls `restored` after messages may have been lost, once every subscription is confirmed again. */
  onRestored(restored: () => void): void;
}

/** The connections of the feed, for the pub/sub probe. */
export interface FeedConnections {
  /** The connection that receives a key's messages; undefined while there is none. */
  connectionOf(key: string): object | undefined;
  readonly connectionCount: number;
  /** Reopens the connection that should receive a key's messages. */
  reconnect(key: string): void;
  /** Call if a message was lost although the connection is open. */
  reportGap(): void;
}

/** Max wait for Redis to confirm a subscription; the connection itself would wait forever. */
export const subscribeTimeoutMs = 3_000;

/** Delay until refused subscriptions are retried, such as those to a slot being moved. */
const retryMs = 250;

/** Max subscriptions per command, if there are no slots. */
const maxBatchSize = 500;

interface FeedSubscription {
  readonly slot: number;
  readonly onMessage: (message: Buffer) => void;
  /** The shard with the subscription, or the pending one. */
  shard: Redis;
}

export function createShardedFeed({
  subscriber,
  clock,
}: {
  subscriber: RedisClient;
  clock: Clock;
}): ShardedFeed & FeedConnections {
  return new FeedOverShards(createShards(subscriber, clock), clock);
}

class FeedOverShards implements ShardedFeed, FeedConnections {
  readonly #shards: Shards;
  readonly #clock: Clock;
  readonly #subscriptions = new Map<string, FeedSubscription>();
  /** Those that wait for their shard's first connection. */
  readonly #unconnected = new Map<string, FeedSubscription>();
  readonly #listeners: (() => void)[] = [];
  /** Settles when the shard was ready for the first time. */
  readonly #connected = new WeakMap<Redis, Promise<void>>();
  /** Batched subscriptions by shard. */
  readonly #batchers = new WeakMap<Redis, LoadOne<string, void>>();
  /** Batched ends of subscriptions by shard: each client that leaves ends one. */
  readonly #endings = new WeakMap<Redis, LoadOne<string, void>>();
  /** The latest renewal of each shard; results of earlier ones are ignored. */
  readonly #renewals = new WeakMap<Redis, symbol>();

  constructor(shards: Shards, clock: Clock) {
    this.#shards = shards;
    this.#clock = clock;
    shards.onOpened((shard) => this.#listenTo(shard));
    shards.onSlotsMoved(() => this.#moveAfterSlots());
    shards.onSubscriptionsRevoked((shard) => this.#renew(shard));
  }

  get connectionCount(): number {
    return [...this.#shards.all()].length;
  }

  connectionOf(key: string): object | undefined {
    return this.#shards.of(slotOf(key));
  }

  subscribe(key: string, onMessage: (message: Buffer) => void): Promise<void> {
    const slot = this.#shards.haveSlots ? slotOf(key) : 0;
    const shard = this.#shards.of(slot);
    if (shard === undefined) return Promise.reject(closedError());
    const subscription = { slot, onMessage, shard };
    if (shard.status === "ready") return this.#subscribeAt(shard, key, subscription);
    this.#unconnected.set(key, subscription);
    return within(subscribeTimeoutMs, this.#connected.get(shard), this.#clock)
      .then(() => (this.#isUnconnected(key, subscription) ? this.#subscribeAt(shard, key, subscription) : undefined))
      .finally(() => this.#isUnconnected(key, subscription) && this.#unconnected.delete(key));
  }

  #isUnconnected(key: string, subscription: FeedSubscription): boolean {
    return this.#unconnected.get(key) === subscription;
  }

  #subscribeAt(shard: Redis, key: string, subscription: FeedSubscription): Promise<void> {
    this.#unconnected.delete(key);
    if (shard.status !== "ready") return Promise.reject(closedError());
    this.#subscriptions.set(key, subscription);
    return this.#batchers.get(shard)?.(key) ?? Promise.resolve();
  }

  unsubscribe(key: string): void {
    this.#unconnected.delete(key);
    const subscription = this.#subscriptions.get(key);
    if (subscription === undefined) return;
    this.#subscriptions.delete(key);
    this.#endAt(subscription.shard, key);
  }

  onRestored(restored: () => void): void {
    this.#listeners.push(restored);
  }

  reconnect(key: string): void {
    this.#shards.of(slotOf(key))?.disconnect(true);
  }

  reportGap(): void {
    for (const restored of this.#listeners) restored();
  }

  #listenTo(shard: Redis): void {
    const connected = shard.status === "ready" ? Promise.resolve() : onceReady(shard);
    this.#connected.set(shard, connected);
    this.#batchers.set(
      shard,
      createBatcher((keys) => this.#subscribeBatch(shard, keys), this.#batchSize),
    );
    this.#endings.set(
      shard,
      createBatcher((keys) => this.#unsubscribeBatch(shard, keys), this.#batchSize),
    );
    shard.on("smessageBuffer", (key: Buffer, message: Buffer) => {
      this.#subscriptions.get(key.toString("latin1"))?.onMessage(message);
    });
    shard.on("ready", () => this.#renew(shard));
  }

  /** Skips keys that were unsubscribed meanwhile. */
  async #subscribeBatch(shard: Redis, keys: readonly string[]): Promise<void[]> {
    const wanted = keys.filter((key) => this.#subscriptions.get(key)?.shard === shard);
    if (wanted.length > 0) await within(subscribeTimeoutMs, shard.ssubscribe(...wanted), this.#clock);
    return keys.map(() => undefined);
  }

  /** A failure is harmless: the subscription ends with its connection. */
  #endAt(shard: Redis, key: string): void {
    this.#endings
      .get(shard)?.(key)
      .catch(() => undefined);
  }

  /** Skips keys that were subscribed again meanwhile. Without a timeout: what waits behind it would stay subscribed. */
  async #unsubscribeBatch(shard: Redis, keys: readonly string[]): Promise<void[]> {
    const ended = keys.filter((key) => this.#subscriptions.get(key)?.shard !== shard);
    if (ended.length > 0 && shard.status === "ready") await shard.sunsubscribe(...ended);
    return keys.map(() => undefined);
  }

  get #batchSize(): number {
    return this.#shards.haveSlots ? 1 : maxBatchSize;
  }

  /** Moves the subscriptions of slots that have another master now. */
  #moveAfterSlots(): void {
    const holders = new Set<Redis>();
    for (const [key, subscription] of this.#subscriptions) {
      const holder = this.#shards.of(subscription.slot);
      if (holder === undefined || holder === subscription.shard) continue;
      this.#endAt(subscription.shard, key);
      subscription.shard = holder;
      holders.add(holder);
    }
    for (const holder of holders) this.#renew(holder);
  }

  /** Resubscribes to all keys of the shard, until all are confirmed. */
  #renew(shard: Redis): void {
    // It is renewed when it becomes ready.
    if (shard.status !== "ready") return;
    const renewal = Symbol("renewal");
    this.#renewals.set(shard, renewal);
    const isLast = (): boolean => this.#renewals.get(shard) === renewal && shard.status === "ready";
    const keys = [...this.#subscriptions]
      .filter(([, subscription]) => subscription.shard === shard)
      .map(([key]) => key);
    this.#subscribe(shard, keys).then(
      () => isLast() && keys.length > 0 && this.reportGap(),
      () => void this.#clock.after(retryMs, () => isLast() && this.#renew(shard)),
    );
  }

  async #subscribe(shard: Redis, keys: readonly string[]): Promise<void> {
    const size = this.#batchSize;
    const batches: string[][] = [];
    for (let start = 0; start < keys.length; start += size) batches.push(keys.slice(start, start + size));
    await Promise.all(batches.map((batch) => shard.ssubscribe(...batch)));
  }
}

export const closedError = (): Error => new Error("Connection is closed.");

const onceReady = (shard: Redis): Promise<void> => new Promise((resolve) => void shard.once("ready", resolve));

export function within(timeoutMs: number, confirmed: Promise<unknown> | undefined, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(new Error("Command timed out")));
    Promise.resolve(confirmed)
      .then(() => resolve(), reject)
      .finally(cancel);
  });
}
