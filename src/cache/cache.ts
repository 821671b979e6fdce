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
  /** Bytes of a node's memory. @default 33554432 */
  memoryBytes?: number;
}

/** Names a value: the room first, then ever closer. */
export type CacheKey = readonly [string, ...string[]];

export interface ReadOptions {
  /** Milliseconds for which a value is as good as a new one. */
  ttlMs: number;
  /** Milliseconds after that for which it is given while a new one is loaded behind it. @default 0 */
  staleMs?: number;
}

/**
 * Values that cost more to make than to keep: in this node's memory, behind that in Redis for all nodes. A value is
 * JSON; undefined is not kept. Nobody may change a value that was read: others are given the same.
 *
 * The first to ask for what is missing loads it, one at a time over all nodes; the others wait. While Redis is away each
 * node loads for itself.
 */
export interface Cache {
  /** Rejects with what `load` rejects with. */
  read<T>(path: CacheKey, load: () => Promise<T>, options: ReadOptions): Promise<T>;
}

/** Milliseconds between two looks whether another node has loaded a value. */
const pollEveryMs = 10;
/** Milliseconds after which a node loads by itself what another does not bring. */
const maxWaitMs = 2_000;

export function createCache(deps: CacheDeps, options: CacheOptions = {}): Cache {
  return new TwoTierCache(deps, options);
}

/** One value that is to be had. */
interface PendingRead<T> extends Required<ReadOptions> {
  key: string;
  load: () => Promise<T>;
}

class TwoTierCache implements Cache {
  readonly #deps: CacheDeps;
  readonly #store: CacheStore;
  readonly #memory: MemoryCache;
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(deps: CacheDeps, { memoryBytes = 33_554_432 }: CacheOptions) {
    this.#deps = deps;
    this.#store = createCacheStore(deps);
    this.#memory = new MemoryCache(memoryBytes);
  }

  async read<T>(path: CacheKey, load: () => Promise<T>, { ttlMs, staleMs = 0 }: ReadOptions): Promise<T> {
    const key = path.map(encodeId).join("/");
    const now = this.#deps.clock.monotonic();
    const kept = this.#memory.get(key, now);
    if (kept !== undefined && now < kept.freshUntil) return this.#given(kept, "memory") as T;
    const loading = this.#once(key, () => this.#find({ key, load, ttlMs, staleMs }));
    if (kept === undefined) return loading;
    this.#behind(loading);
    return this.#given(kept, "stale") as T;
  }

  /** Single flight: all who ask meanwhile are given what the first one is. */
  #once<T>(key: string, find: () => Promise<T>): Promise<T> {
    const running = this.#underWay.get(key);
    if (running !== undefined) return running as Promise<T>;
    const loading = find().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, loading);
    return loading;
  }

  /** From the store, or loaded: here, or by another node that is waited for. */
  async #find<T>(wanted: PendingRead<T>): Promise<T> {
    const { clock } = this.#deps;
    const deadline = clock.monotonic() + maxWaitMs;
    for (;;) {
      const found = await this.#ask(wanted);
      const kept = this.#keepFound(wanted, found);
      if (found.isClaimed || clock.monotonic() >= deadline) {
        const loading = this.#load(wanted);
        if (kept === undefined) return await loading;
        this.#behind(loading);
      }
      if (kept !== undefined) return this.#given(kept, found.leftMs > wanted.staleMs ? "store" : "stale") as T;
      await sleep(clock, pollEveryMs);
    }
  }

  /** Where the store is away everybody loads. */
  async #ask({ key, staleMs }: PendingRead<unknown>): Promise<CacheLookup> {
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
      if (text !== undefined) this.#keep(key, value, Buffer.byteLength(text), { ttlMs, staleMs });
      return value;
    } finally {
      await this.#store
        .store(key, text, ttlMs + staleMs)
        .catch((error: unknown) =>
          this.#deps.log.debug({ reason: String(error) }, "storing a loaded value in the cache failed"),
        );
    }
  }

  #keepFound({ key, staleMs }: PendingRead<unknown>, { text, leftMs }: CacheLookup): CacheEntry | undefined {
    if (text === undefined) return undefined;
    return this.#keep(key, JSON.parse(text), Buffer.byteLength(text), { ttlMs: leftMs - staleMs, staleMs });
  }

  #keep(key: string, value: unknown, bytes: number, { ttlMs, staleMs }: Required<ReadOptions>): CacheEntry {
    const freshUntil = this.#deps.clock.monotonic() + ttlMs;
    const kept = { value, bytes: bytes + key.length, freshUntil, staleUntil: freshUntil + staleMs };
    this.#memory.set(key, kept);
    return kept;
  }

  #given({ value }: CacheEntry, outcome: "memory" | "store" | "stale"): unknown {
    this.#deps.metrics.cacheReads.inc({ outcome });
    return value;
  }

  /** Its failure is for the next who has to wait for it. */
  #behind(loading: Promise<unknown>): void {
    loading.catch((error: unknown) =>
      this.#deps.log.debug({ reason: String(error) }, "refreshing a stale cache value failed"),
    );
  }
}
