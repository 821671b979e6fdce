import { errors } from "bentocache";
import type { GetSetFactoryContext } from "bentocache/types";
import type { RedisClient } from "../redis/connections.ts";
import { encodeId, type Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createBus, type CacheBus } from "./bus.ts";
import { createFlightStore } from "./flight-store.ts";
import { Flights } from "./flights.ts";
import { Forgotten } from "./forgotten.ts";
import { createTiers, tagOf, type Tiers } from "./tiers.ts";

export interface CacheDeps {
  commands: RedisClient;
  keys: Keys;
  feed: ShardedFeed;
  metrics: Pick<Metrics, "cacheReads">;
  clock: Clock;
  log: Logger;
}

export interface CacheOptions {
  /** Bytes of a node's memory. @default 33554432 */
  memoryBytes?: number;
}

/** Names a value: the room first, then ever closer, so that everything below a part of it can be forgotten. */
export type Path = readonly [string, ...string[]];

export interface ReadOptions {
  /** Milliseconds for which a value is as good as a new one. */
  ttlMs: number;
  /** Milliseconds after that for which it is given while a new one is loaded behind it. @default 0 */
  staleMs?: number;
  /** By which it can be forgotten, beside its path. */
  tags?: readonly string[];
  /** Whether one load at a time is enough for all nodes, not for each; others wait for it. @default false */
  isCostly?: boolean;
}

/**
 * Values that cost more to make than to keep: in this node's memory, behind that in Redis for all nodes. A value is JSON,
 * or is not kept.
 *
 * Whoever asks for what is not there loads it, alone on its node, or with `isCostly` over all nodes; the others wait. What
 * is forgotten is forgotten on every node, also where it was being loaded at that moment, provided that the nodes' clocks
 * agree; whatever they say, no value lives longer than twice its time. While Redis is away each node loads for itself.
 */
export interface Cache extends Service {
  /** Rejects with what `load` rejects with. */
  read<T>(path: Path, load: () => Promise<T>, options: ReadOptions): Promise<T>;
  /** Everything at and below the path. Rejects where the store is away: then other nodes may still have it. */
  forget(path: Path): Promise<void>;
  /** The same by tag. */
  forgetTag(tag: string): Promise<void>;
}

export function createCache(deps: CacheDeps, options: CacheOptions = {}): Cache {
  return new TwoTierCache(deps, options);
}

/** A value, and whether it may be kept. */
interface Loaded<T> {
  value: T;
  isKept: boolean;
}

class TwoTierCache implements Cache {
  readonly name = "cache";
  readonly #deps: CacheDeps;
  readonly #bus: CacheBus;
  readonly #tiers: Tiers;
  readonly #flights: Flights;
  readonly #forgotten = new Forgotten();

  constructor(deps: CacheDeps, { memoryBytes = 33_554_432 }: CacheOptions) {
    this.#deps = deps;
    this.#bus = createBus({ ...deps, onExpired: (keys) => this.#noteTags(keys) });
    this.#tiers = createTiers(
      { ...deps, bus: this.#bus.driver, onWritten: (key) => this.#flights.end(key) },
      memoryBytes,
    );
    this.#flights = new Flights({ ...deps, store: createFlightStore(deps) });
  }

  async start(): Promise<void> {
    this.#deps.feed.onRestored(() => {
      this.#forgotten.noteAll();
      this.#bus.forgetHere();
    });
    await this.#bus.start();
  }

  /** The library is not told: it would end the connection, which is not its own. */
  stop(): void {
    this.#bus.stop();
  }

  async read<T>(
    path: Path,
    load: () => Promise<T>,
    { ttlMs, staleMs = 0, tags = [], isCostly = false }: ReadOptions,
  ): Promise<T> {
    const key = keyOf(path);
    const allTags = [...partsOf(path).map(pathTag), ...tags.map(ownTag)];
    let loaded: Loaded<T> | undefined;
    const factory = async (context: GetSetFactoryContext): Promise<T | undefined> => {
      loaded = await this.#load(key, load, { tags: allTags, isCostly });
      return loaded.isKept ? loaded.value : context.skip();
    };
    try {
      const grace = staleMs === 0 ? false : ttlMs + staleMs;
      const value = await this.#tiers.getOrSet({ key, factory, ttl: ttlMs, grace, timeout: 0, tags: allTags });
      return loaded === undefined ? (value as T) : loaded.value;
    } catch (error) {
      throw error instanceof errors.E_FACTORY_ERROR ? error.cause : error;
    }
  }

  forget(path: Path): Promise<void> {
    return this.#forgetTag(pathTag(keyOf(path)));
  }

  forgetTag(tag: string): Promise<void> {
    return this.#forgetTag(ownTag(tag));
  }

  /** What another node has loaded is in the store already, with what is left of its time. */
  async #load<T>(
    key: string,
    load: () => Promise<T>,
    { tags, isCostly }: { tags: readonly string[]; isCostly: boolean },
  ): Promise<Loaded<T>> {
    const mark = this.#forgotten.mark();
    const found = isCostly ? await this.#flights.join<T>(key, () => this.#tiers.get({ key })) : undefined;
    if (found !== undefined) return { value: found, isKept: false };
    let isKept = false;
    try {
      const value = await load();
      isKept = value !== undefined && !this.#forgotten.isSince(mark, tags);
      return { value, isKept };
    } finally {
      // A flight ends when the value is where others find it, or is not going to be.
      if (!isKept) this.#flights.end(key);
    }
  }

  async #forgetTag(tag: string): Promise<void> {
    this.#forgotten.note(tag);
    const { commands, keys } = this.#deps;
    const now = Date.now();
    await this.#tiers.deleteByTag({ tags: [tag] });
    // The library keeps it to itself where the store did not take it.
    const kept = await commands.get(`${keys.cache()}:${tagOf.key(tag)}`);
    if (kept === null || (JSON.parse(kept) as { value: number }).value < now) throw new Error("Connection is closed.");
  }

  #noteTags(keys: readonly string[]): void {
    for (const key of keys) {
      const tag = tagOf.name(key);
      if (tag !== undefined) this.#forgotten.note(tag);
    }
  }
}

const keyOf = (path: Path): string => path.map(encodeId).join("/");

/** Of `a/b/c`: `a`, `a/b`, `a/b/c`. */
const partsOf = (path: Path): string[] => path.map((_, index) => keyOf(path.slice(0, index + 1) as unknown as Path));

const pathTag = (key: string): string => `path ${key}`;
const ownTag = (tag: string): string => `tag ${encodeId(tag)}`;
