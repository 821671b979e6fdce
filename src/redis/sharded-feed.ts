import type { Redis } from "ioredis";
import type { Clock } from "../runtime/clock.ts";
import { createBatcher, type LoadOne } from "../runtime/batcher.ts";
import type { RedisClient } from "./connections.ts";
import { createShards, type Shards } from "./shards.ts";
import { slotOf } from "./slots.ts";

/**
 * Sharded pub/sub for everybody on this node, over one connection, on a Cluster over one to each master. At most once:
 * what was published while a connection was away is gone, so whoever follows numbers, and reads its log when it is told
 * that the feed was restored.
 */
export interface ShardedFeed {
  /** Resolves when Redis confirmed: what is published from then on is heard. Rejects where the store is away. */
  subscribe(key: string, onMessage: (message: Buffer) => void): Promise<void>;
  unsubscribe(key: string): void;
  /** Called after something may have gone unheard, once every subscription stands again. */
  onRestored(restored: () => void): void;
}

/** What the feed runs over, for whoever watches that it does. */
export interface FeedConnections {
  /** The connection that hears a key, to tell one from another; undefined while there is none. */
  connectionOf(key: string): object | undefined;
  readonly connectionCount: number;
  /** Ends the connection that hears a key, for it is open and yet nothing comes; it is opened again by itself. */
  reconnect(key: string): void;
  /** Something went unheard, although the connection stands: a message was skipped that should have come. */
  reportGap(): void;
}

/** Longest wait for Redis to confirm a subscription; the connection itself would wait for ever. */
const subscribeTimeoutMs = 3_000;

/** Until subscriptions that were refused are tried again, such as those to a slot on its way. */
const retryMs = 250;

/** Subscriptions made with one command where there are no slots. */
const maxBatchSize = 500;

interface FeedSubscription {
  readonly slot: number;
  readonly onMessage: (message: Buffer) => void;
  /** Where it is subscribed, or about to be. */
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
  readonly #followed = new Map<string, FeedSubscription>();
  readonly #listeners: (() => void)[] = [];
  /** Settles when the shard has answered for the first time. */
  readonly #begun = new WeakMap<Redis, Promise<void>>();
  /** How a key is subscribed to at each shard. */
  readonly #entrances = new WeakMap<Redis, LoadOne<string, void>>();
  /** The last renewal of a shard; what an earlier one has to say is of no account. */
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

  async subscribe(key: string, onMessage: (message: Buffer) => void): Promise<void> {
    const slot = this.#shards.haveSlots ? slotOf(key) : 0;
    const shard = this.#shards.of(slot);
    if (shard !== undefined && shard.status !== "ready")
      await within(subscribeTimeoutMs, this.#begun.get(shard), this.#clock);
    if (shard?.status !== "ready") throw new Error("Connection is closed.");
    this.#followed.set(key, { slot, onMessage, shard });
    await this.#entrances.get(shard)?.(key);
  }

  unsubscribe(key: string): void {
    const followed = this.#followed.get(key);
    if (followed === undefined) return;
    this.#followed.delete(key);
    letGo(followed.shard, key);
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
    const begun = shard.status === "ready" ? Promise.resolve() : onceReady(shard);
    this.#begun.set(shard, begun);
    this.#entrances.set(
      shard,
      createBatcher((keys) => this.#enter(shard, keys), this.#mostAtOnce),
    );
    shard.on("smessageBuffer", (key: Buffer, message: Buffer) => {
      this.#followed.get(key.toString("latin1"))?.onMessage(message);
    });
    shard.on("ready", () => this.#renew(shard));
  }

  /** Those that were not let go of meanwhile. */
  async #enter(shard: Redis, keys: readonly string[]): Promise<void[]> {
    const wanted = keys.filter((key) => this.#followed.get(key)?.shard === shard);
    if (wanted.length > 0) await within(subscribeTimeoutMs, shard.ssubscribe(...wanted), this.#clock);
    return keys.map(() => undefined);
  }

  get #mostAtOnce(): number {
    return this.#shards.haveSlots ? 1 : maxBatchSize;
  }

  /** What is followed in slots that have another holder now is heard there. */
  #moveAfterSlots(): void {
    const holders = new Set<Redis>();
    for (const [key, followed] of this.#followed) {
      const holder = this.#shards.of(followed.slot);
      if (holder === undefined || holder === followed.shard) continue;
      letGo(followed.shard, key);
      followed.shard = holder;
      holders.add(holder);
    }
    for (const holder of holders) this.#renew(holder);
  }

  /** Subscribes anew to everything that is heard over the shard, until all of it is confirmed. */
  #renew(shard: Redis): void {
    // Once it is ready it is renewed anyway.
    if (shard.status !== "ready") return;
    const renewal = Symbol("renewal");
    this.#renewals.set(shard, renewal);
    const isLast = (): boolean => this.#renewals.get(shard) === renewal && shard.status === "ready";
    const keys = [...this.#followed].filter(([, followed]) => followed.shard === shard).map(([key]) => key);
    this.#subscribe(shard, keys).then(
      () => isLast() && keys.length > 0 && this.reportGap(),
      () => void this.#clock.after(retryMs, () => isLast() && this.#renew(shard)),
    );
  }

  async #subscribe(shard: Redis, keys: readonly string[]): Promise<void> {
    const most = this.#mostAtOnce;
    const batches: string[][] = [];
    for (let start = 0; start < keys.length; start += most) batches.push(keys.slice(start, start + most));
    await Promise.all(batches.map((batch) => shard.ssubscribe(...batch)));
  }
}

const onceReady = (shard: Redis): Promise<void> => new Promise((resolve) => void shard.once("ready", resolve));

/** A lost connection forgets the subscription by itself, so a failure here leaves nothing behind. */
function letGo(shard: Redis, key: string): void {
  if (shard.status === "ready") shard.sunsubscribe(key).catch(() => undefined);
}

function within(timeoutMs: number, confirmed: Promise<unknown> | undefined, clock: Clock): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(new Error("Command timed out")));
    Promise.resolve(confirmed)
      .then(() => resolve(), reject)
      .finally(cancel);
  });
}
