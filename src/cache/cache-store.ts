import { randomUUID } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

/** What the store has of a value. */
export interface CacheLookup {
  /** JSON; undefined where nothing is kept. */
  text: string | undefined;
  /** Milliseconds until it is gone. */
  leftMs: number;
  /** The caller has claimed to load it, and must call `end`. */
  isClaimed: boolean;
}

/**
 * Values for all nodes, and which node loads one: one at a time for a key, until it says that it has done so, or
 * `claimMs` has passed, as when the node that loads it has died.
 */
export interface CacheStore {
  /** `staleMs`: the end of a value's life, in which it is to be loaded anew. */
  getOrClaim(key: string, staleMs: number): Promise<CacheLookup>;
  /** `text` undefined: it could not be loaded. */
  store(key: string, text: string | undefined, lifeMs: number): Promise<void>;
}

const claimMs = 5_000;

export function createCacheStore({ commands, keys }: { commands: RedisClient; keys: Keys }): CacheStore {
  const takeOrLoadScript = loadScript(commands, new URL("./get-or-claim.lua", import.meta.url));
  const endScript = loadScript(commands, new URL("./store-loaded.lua", import.meta.url));
  const who = randomUUID();
  const keysOf = (key: string): string[] => [keys.cached(key), keys.cacheLock(key)];

  return {
    async getOrClaim(key, staleMs) {
      const reply = await takeOrLoadScript.run(keysOf(key), [who, staleMs, claimMs]);
      const [text, leftMs, isClaimed] = reply as [string | null, number, number];
      return { text: text ?? undefined, leftMs, isClaimed: isClaimed === 1 };
    },
    async store(key, text, lifeMs) {
      await endScript.run(keysOf(key), [who, text === undefined ? 0 : lifeMs, text ?? ""]);
    },
  };
}
