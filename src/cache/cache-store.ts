import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/** A cached value in Redis. */
export interface CacheLookup {
  /** JSON; undefined if nothing is cached. */
  text: string | undefined;
  /** Milliseconds until it expires. */
  leftMs: number;
  /** True if the caller has claimed to load it, and must call `store`. */
  isClaimed: boolean;
}

/**
 * Values shared by all nodes, and a lock per key for loading: at most one node loads a value, until it calls `store` or
 * `claimMs` has passed, for example because it crashed.
 */
export interface CacheStore {
  /** `staleMs`: the last part of a value's life, during which it is reloaded. */
  getOrClaim(key: string, staleMs: number): Promise<CacheLookup>;
  /** Releases the lock; `text` is undefined if loading failed. */
  store(key: string, text: string | undefined, lifeMs: number): Promise<void>;
}

const claimMs = 5_000;

export function createCacheStore({ commands, keys }: { commands: RedisClient; keys: Keys }): CacheStore {
  const getOrClaimScript = loadScript(commands, new URL("./get-or-claim.lua", import.meta.url));
  const storeScript = loadScript(commands, new URL("./store-loaded.lua", import.meta.url));
  const nodeId = randomUUID();
  const keysOf = (key: string): string[] => [keys.cached(key), keys.cacheLock(key)];

  return {
    async getOrClaim(key, staleMs) {
      const reply = await getOrClaimScript.run(keysOf(key), [nodeId, staleMs, claimMs]);
      const [text, leftMs, isClaimed] = reply as [string | null, number, number];
      return { text: text ?? undefined, leftMs, isClaimed: isClaimed === 1 };
    },
    async store(key, text, lifeMs) {
      await storeScript.run(keysOf(key), [nodeId, text === undefined ? 0 : lifeMs, text ?? ""]);
    },
  };
}
