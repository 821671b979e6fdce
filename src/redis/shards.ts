import { Cluster, type Redis } from "ioredis";
import type { Clock } from "../runtime/clock.ts";
import { reconnectDelayMs, type RedisClient } from "./connections.ts";
import { addressOf, holderOf } from "./slots.ts";

/** The connections that sharded pub/sub runs over: the one there is, or on a Cluster one to each master. */
export interface Shards {
  /** False where one connection hears everything. */
  readonly haveSlots: boolean;
  /** Who hears a slot; undefined while nobody is known to hold it. */
  of(slot: number): Redis | undefined;
  all(): Iterable<Redis>;
  /** Called for every connection, those there are and those to come, before it can have heard anything. */
  onOpened(listener: (shard: Redis) => void): void;
  /** Called whenever slots may have another holder than before. */
  onSlotsMoved(listener: () => void): void;
  /** Called where Redis took subscriptions away from a connection that stands, once it is known who holds which slot. */
  onSubscriptionsRevoked(listener: (shard: Redis) => void): void;
}

export function createShards(subscriber: RedisClient, clock: Clock): Shards {
  return subscriber instanceof Cluster ? new ClusterShards(subscriber, clock) : singleShard(subscriber);
}

function singleShard(subscriber: Redis): Shards {
  return {
    haveSlots: false,
    of: () => subscriber,
    all: () => [subscriber],
    onOpened: (listener) => listener(subscriber),
    onSlotsMoved: () => undefined,
    onSubscriptionsRevoked: () => undefined,
  };
}

/** Redis takes a slot's subscriptions away one by one, and a slot on its way is refused here and there. */
const settleMs = 100;

/**
 * Follows the masters of a Cluster: each gets a connection while it holds slots.
 *
 * ioredis has connections for this too (`shardedSubscribers`), but it drops the errors of renewed subscriptions and does
 * not say when they stand: after a master was lost, a channel could stay silent until the Cluster's next change.
 */
class ClusterShards implements Shards {
  readonly haveSlots = true;
  readonly #cluster: Cluster;
  readonly #open = new Map<string, Redis>();
  readonly #openedListeners: ((shard: Redis) => void)[] = [];
  readonly #movedListeners: (() => void)[] = [];
  readonly #takenListeners: ((shard: Redis) => void)[] = [];
  readonly #clock: Clock;
  readonly #taken = new Set<Redis>();

  constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#follow();
    cluster.on("refresh", () => this.#follow());
    cluster.on("end", () => [...this.#open.keys()].forEach((address) => this.#close(address)));
  }

  of(slot: number): Redis | undefined {
    const holder = holderOf(this.#cluster, slot);
    return holder === undefined ? undefined : this.#open.get(holder);
  }

  all(): Iterable<Redis> {
    return this.#open.values();
  }

  onOpened(listener: (shard: Redis) => void): void {
    this.#openedListeners.push(listener);
    for (const shard of this.#open.values()) listener(shard);
  }

  onSlotsMoved(listener: () => void): void {
    this.#movedListeners.push(listener);
  }

  onSubscriptionsRevoked(listener: (shard: Redis) => void): void {
    this.#takenListeners.push(listener);
  }

  #follow(): void {
    const masters = new Set(this.#cluster.slots.map(([holder = ""]) => holder));
    for (const master of this.#cluster.nodes("master")) {
      const address = addressOf(master);
      if (masters.has(address) && !this.#open.has(address)) this.#openTo(address, master);
    }
    for (const moved of this.#movedListeners) moved();
    // Only now: what it heard until here is heard elsewhere from here on.
    for (const address of this.#open.keys()) if (!masters.has(address)) this.#close(address);
  }

  #openTo(address: string, master: Redis): void {
    const shard = master.duplicate({ retryStrategy: reconnectDelayMs, lazyConnect: false });
    // The role's owner logs them.
    shard.on("error", (error: Error) => this.#cluster.emit("error", error));
    // Said where a subscription ends by itself, or is refused, because its slot is on its way: even to where it is.
    shard.on("moved", () => this.#lookAgain(shard));
    this.#open.set(address, shard);
    for (const opened of this.#openedListeners) opened(shard);
  }

  #lookAgain(shard: Redis): void {
    if (this.#taken.has(shard)) return;
    this.#taken.add(shard);
    this.#clock.after(settleMs, () => {
      this.#taken.delete(shard);
      this.#cluster.refreshSlotsCache(() => this.#takenListeners.forEach((taken) => taken(shard)));
    });
  }

  #close(address: string): void {
    this.#open.get(address)?.disconnect();
    this.#open.delete(address);
  }
}
