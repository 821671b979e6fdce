import { Cluster, type Redis } from "ioredis";
import type { Clock } from "../../runtime/clock.ts";
import { reconnectDelayMs, type RedisClient } from "../connections.ts";
import { addressOf, holderOf } from "../slots.ts";

/** The connections that sharded pub/sub runs over: the one there is, or on a Cluster one to each master. */
export interface Shards {
  /** False if one connection receives everything. */
  readonly haveSlots: boolean;
  /** The connection for a slot; undefined while its master is unknown. */
  of(slot: number): Redis | undefined;
  all(): Iterable<Redis>;
  /** Calls `listener` for every current and future connection, before it receives messages. */
  onOpened(listener: (shard: Redis) => void): void;
  /** Calls `listener` when slots may have moved to another master. */
  onSlotsMoved(listener: () => void): void;
  /** Calls `listener` after Redis revoked subscriptions of an open connection, once the slots' masters are known. */
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

/** Redis revokes a slot's subscriptions one by one, and both masters may refuse a slot being moved. */
const settleMs = 100;

/**
 * One connection to each master of a Cluster that has slots.
 *
 * ioredis has connections for this too (`shardedSubscribers`), but it ignores errors of renewed subscriptions and does
 * not report when they are confirmed: after a failover a channel could stay silent until the Cluster's next change.
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
    // Closed last: until here it still received messages that another connection receives from now on.
    for (const address of this.#open.keys()) if (!masters.has(address)) this.#close(address);
  }

  #openTo(address: string, master: Redis): void {
    const shard = master.duplicate({ retryStrategy: reconnectDelayMs, lazyConnect: false });
    // Logged by the owner of the role.
    shard.on("error", (error: Error) => this.#cluster.emit("error", error));
    // Emitted if a subscription was revoked or refused because its slot is being moved.
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
