import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import type { RedisAddress } from "../redis/addresses.ts";
import { AddressRefused, discoverStore, type AddressPart } from "../redis/discover.ts";
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

/** Milliseconds Redis may take to answer at the start. */
const patienceMs = 10_000;

/** The variable that is to blame. */
const variableOf: Record<AddressPart, string> = {
  servers: "REDIS_URL",
  sentinels: "REDIS_SENTINELS",
  "sentinel name": "REDIS_SENTINEL_NAME",
};

/** Finds out what an address leaves open. Throws ConfigError where Redis refuses it, such as for a wrong password. */
export async function findStore(address: RedisAddress): Promise<RedisAddress> {
  try {
    return await discoverStore(address, patienceMs);
  } catch (error) {
    if (!(error instanceof AddressRefused)) throw error;
    throw new ConfigError([{ name: variableOf[error.part], message: error.message }]);
  }
}

/** Finds the one that is configured; starts one where none is. */
export async function locateStore(config: Config, log: Logger): Promise<LocatedStore> {
  if (config.redis !== undefined) {
    const address = await findStore(config.redis);
    return { address, description: `Redis (${address.topology})`, stop: () => Promise.resolve() };
  }
  const store = await startEmbeddedStore({ log, kind: config.embeddedStore });
  const description = `embedded ${store.kind} on loopback; its data is lost on exit`;
  return { address: { topology: "embedded", url: store.url }, description, stop: () => store.stop() };
}
