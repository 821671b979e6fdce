import type { Config } from "../config.ts";
import type { RedisAddress } from "../redis/connections.ts";
import { startEmbeddedStore } from "../redis/embedded.ts";
import type { Logger } from "../runtime/logger.ts";

/** Where the store is. */
export interface LocatedStore {
  address: RedisAddress;
  /** Which it is, in words. */
  description: string;
  /** Ends it where it was started here. */
  stop: () => Promise<void>;
}

/** Starts one where none is configured. */
export async function locateStore(config: Config, log: Logger): Promise<LocatedStore> {
  if (config.redis !== undefined) {
    return { address: config.redis, description: `Redis (${config.redis.topology})`, stop: () => Promise.resolve() };
  }
  const store = await startEmbeddedStore({ log, kind: config.embeddedStore });
  const description = `embedded ${store.kind} on loopback: nothing is kept after the end`;
  return { address: { topology: "embedded", url: store.url }, description, stop: () => store.stop() };
}
