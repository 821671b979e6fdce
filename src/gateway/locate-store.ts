import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import { describeAddress, type AddressPart, type RedisAddress } from "../redis/addresses.ts";
import { AddressRefused, discoverStore } from "../redis/discover.ts";
import { startEmbeddedStore } from "../redis/embedded.ts";
import type { Logger } from "../runtime/logger.ts";

/** The Redis that a node uses. */
export interface LocatedStore {
  address: RedisAddress;
  /** Human-readable description. */
  description: string;
  /** Stops an embedded server. */
  stop: () => Promise<void>;
}

/** Max milliseconds for Redis to respond at startup. */
const startTimeoutMs = 10_000;

/** The variable to name in an error, unless the address names another. */
const variableOf: Record<AddressPart, string> = {
  servers: "REDIS_URL",
  login: "REDIS_URL",
  sentinels: "REDIS_SENTINELS",
  "sentinel name": "REDIS_SENTINEL_NAME",
};

/** Completes an address by asking Redis; the log says if it has to wait for an answer. Throws ConfigError if Redis refuses it, such as for a wrong password. */
export async function findStore(address: RedisAddress, log?: Logger): Promise<RedisAddress> {
  const waiting = { address: describeAddress(address), seconds: startTimeoutMs / 1_000 };
  try {
    return await discoverStore(address, startTimeoutMs, (reason) =>
      log?.warn({ ...waiting, reason }, "Redis does not answer yet; trying again"),
    );
  } catch (error) {
    if (!(error instanceof AddressRefused)) throw error;
    throw new ConfigError([
      { name: address.variables?.[error.part] ?? variableOf[error.part], message: error.message },
    ]);
  }
}

/** Returns the configured Redis, or starts an embedded one. */
export async function locateStore(config: Config, log: Logger): Promise<LocatedStore> {
  if (config.redis !== undefined) {
    const address = await findStore(config.redis, log);
    return { address, description: `Redis (${address.topology})`, stop: () => Promise.resolve() };
  }
  const store = await startEmbeddedStore({ log, kind: config.embeddedStore });
  const description = `embedded ${store.kind} on loopback; its data is lost on exit`;
  return { address: { topology: "embedded", url: store.url }, description, stop: () => store.stop() };
}
