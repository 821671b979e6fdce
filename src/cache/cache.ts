import type { RedisClient } from "../redis/connections.ts";
import { encodeId, type Keys } from "../redis/keys.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createCacheStore, type CacheStore, type CacheLookup } from "./cache-store.ts";
import { MemoryCache, type CacheEntry } from "./memory-cache.ts";

export interface CacheDeps {
  commands: RedisClient;
  keys: Keys;
  metrics: Pick<Metrics, "cacheReads">;
  clock: Clock;
  log: Logger;
}

export interface CacheOptions {
  /** Max bytes in a node's memory. @default 33554432 */
  memoryBytes?: number;
}

/** The path of a value, the feature first. */
export type CacheKey = readonly [string, ...string[]];

export interface ReadOptions {
  /** Milliseconds for which a value is fresh. */
  ttlMs: number;
  /** Milliseconds after that for which it is returned while it is reloaded in the background. @default 0 */
  staleMs?: number;
}

/**
 * A read-through cache in this node's memory, and behind it in Redis for all nodes. Values are JSON; undefined is not
 * cached. Values must not be modified, because all readers share them.
 *
 * A missing value is loaded once across all nodes; other readers wait. While Redis is unreachable each node loads values
 * by itself.
 */
export interface Cache {
  /** Rejects with the error of `load`. */
  read<T>(path: CacheKey, load: () => Promise<T>, options: ReadOptions): Promise<T>;
}

/** Milliseconds between two checks whether another node has loaded a value. */
const pollEveryMs = 10;
/** Milliseconds after which a node no longer waits for another and loads the value itself. */
const maxWaitMs = 2_000;

export function createCache(deps: CacheDeps, options: CacheOptions = {}): Cache {
  return new TwoTierCache(deps, options);
}

/** A value being read. */
interface PendingRead<T> extends Required<ReadOptions> {
  key: string;
  load: () => Promise<T>;
}

class TwoTierCache implements Cache {
  readonly #deps: CacheDeps;
  readonly #store: CacheStore;
  readonly #memory: MemoryCache;
  readonly #inFlight = new Map<string, Promise<unknown>>();

  constructor(deps: CacheDeps, { memoryBytes = 33_554_432 }: CacheOptions) {
    this.#deps = deps;
    this.#store = createCacheStore(deps);
    this.#memory = new MemoryCache(memoryBytes);
  }

  async read<T>(path: CacheKey, load: () => Promise<T>, { ttlMs, staleMs = 0 }: ReadOptions): Promise<T> {
    const key = path.map(encodeId).join("/");
    const now = this.#deps.clock.monotonic();
    const entry = this.#memory.get(key, now);
    if (entry !== undefined && now < entry.freshUntil) return this.#hit(entry, "memory") as T;
    const loading = this.#once(key, () => this.#find({ key, load, ttlMs, staleMs }));
    if (entry === undefined) return loading;
    this.#inBackground(loading);
    return this.#hit(entry, "stale") as T;
  }

  /** Single flight: concurrent readers share one result. */
  #once<T>(key: string, find: () => Promise<T>): Promise<T> {
    const running = this.#inFlight.get(key);
    if (running !== undefined) return running as Promise<T>;
    const loading = find().finally(() => this.#inFlight.delete(key));
    this.#inFlight.set(key, loading);
    return loading;
  }

  /** From Redis, or loaded: here, or by another node. */
  async #find<T>(read: PendingRead<T>): Promise<T> {
    const { clock } = this.#deps;
    const deadline = clock.monotonic() + maxWaitMs;
    for (;;) {
      const found = await this.#lookUp(read);
      const entry = this.#cacheFound(read, found);
      if (found.isClaimed || clock.monotonic() >= deadline) {
        const loading = this.#load(read);
        if (entry === undefined) return await loading;
        this.#inBackground(loading);
      }
      if (entry !== undefined) return this.#hit(entry, found.leftMs > read.staleMs ? "store" : "stale") as T;
      await sleep(clock, pollEveryMs);
    }
  }

  /** While Redis is unreachable, every node loads. */
  async #lookUp({ key, staleMs }: PendingRead<unknown>): Promise<CacheLookup> {
    try {
      return await this.#store.getOrClaim(key, staleMs);
    } catch (error) {
      this.#deps.log.debug({ reason: String(error) }, "reading the cache failed");
      return { text: undefined, leftMs: 0, isClaimed: true };
    }
  }

  async #load<T>({ key, load, ttlMs, staleMs }: PendingRead<T>): Promise<T> {
    let text: string | undefined;
    try {
      this.#deps.metrics.cacheReads.inc({ outcome: "loaded" });
      const value = await load();
      text = JSON.stringify(value) as string | undefined;
      if (text !== undefined) this.#cache(key, value, Buffer.byteLength(text), { ttlMs, staleMs });
      return value;
    } finally {
      await this.#store
        .store(key, text, ttlMs + staleMs)
        .catch((error: unknown) =>
          this.#deps.log.debug({ reason: String(error) }, "storing a loaded value in the cache failed"),
        );
    }
  }

  #cacheFound({ key, staleMs }: PendingRead<unknown>, { text, leftMs }: CacheLookup): CacheEntry | undefined {
    if (text === undefined) return undefined;
    return this.#cache(key, JSON.parse(text), Buffer.byteLength(text), { ttlMs: leftMs - staleMs, staleMs });
  }

  #cache(key: string, value: unknown, bytes: number, { ttlMs, staleMs }: Required<ReadOptions>): CacheEntry {
    const freshUntil = this.#deps.clock.monotonic() + ttlMs;
    const entry = { value, bytes: bytes + key.length, freshUntil, staleUntil: freshUntil + staleMs };
    this.#memory.set(key, entry);
    return entry;
  }

  #hit({ value }: CacheEntry, outcome: "memory" | "store" | "stale"): unknown {
    this.#deps.metrics.cacheReads.inc({ outcome });
    return value;
  }

  /** A failed reload is only logged; the value stays stale. */
  #inBackground(loading: Promise<unknown>): void {
    loading.catch((error: unknown) =>
      this.#deps.log.debug({ reason: String(error) }, "refreshing a stale cache value failed"),
    );
  }
}
