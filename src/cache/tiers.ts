import { EventEmitter } from "node:events";
import { BentoCache, bentostore } from "bentocache";
import { memoryDriver } from "bentocache/drivers/memory";
import { redisDriver } from "bentocache/drivers/redis";
import type { CacheEvents, CreateBusDriverResult } from "bentocache/types";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";

export interface TiersDeps {
  commands: RedisClient;
  keys: Keys;
  bus: CreateBusDriverResult;
  metrics: Pick<Metrics, "cacheReads">;
  /** A value was kept, in memory and in Redis. */
  onWritten: (key: string) => void;
  log: Logger;
}

export type Tiers = ReturnType<typeof createTiers>;

/** Where BentoCache writes down when a tag was forgotten last. */
const tagPrefix = "___bc:t:";

export const tagOf = {
  key: (tag: string): string => tagPrefix + tag,
  /** Undefined where the key is no tag's. */
  name: (key: string): string | undefined => (key.startsWith(tagPrefix) ? key.slice(tagPrefix.length) : undefined),
};

/** Largest value a node's memory keeps. */
const largestBytes = 1_048_576;
/** Milliseconds for which Redis is left alone after it failed. */
const breakMs = 1_000;

/** Memory before Redis, as BentoCache stacks them, counted and without a voice of its own. */
export function createTiers({ commands, keys, bus, metrics, onWritten, log }: TiersDeps, memoryBytes: number) {
  const emitter = new EventEmitter();
  const store = bentostore()
    // Serialized, for only then its size is known; and the library fails on what comes from Redis otherwise.
    .useL1Layer(memoryDriver({ maxItems: 100_000, maxSize: memoryBytes, maxEntrySize: largestBytes }))
    .useL2Layer(redisDriver({ connection: commands }))
    .useBus(bus);
  const bento = new BentoCache({
    default: "values",
    stores: { values: store },
    prefix: keys.cache(),
    emitter,
    logger: quiet(log),
    l2CircuitBreakerDuration: breakMs,
  });
  count(emitter, metrics);
  emitter.on("cache:written", ({ key }: CacheEvents["cache:written"]) => onWritten(key));
  return bento;
}

function count(emitter: EventEmitter, { cacheReads }: Pick<Metrics, "cacheReads">): void {
  emitter.on("cache:hit", ({ key, layer, graced }: CacheEvents["cache:hit"]) => {
    if (tagOf.name(key) !== undefined) return;
    cacheReads.inc({ outcome: graced ? "stale" : layer === "l1" ? "memory" : "store" });
  });
  emitter.on("cache:miss", ({ key }: CacheEvents["cache:miss"]) => {
    if (tagOf.name(key) === undefined) cacheReads.inc({ outcome: "loaded" });
  });
}

/** What the library has to say is for whoever debugs it: a store that is away is reported elsewhere. */
function quiet(log: Logger) {
  const say = (fields: object, message: string): void => log.debug(fields, message);
  const silent = (): void => undefined;
  const logger = { trace: silent, debug: silent, info: silent, warn: say, error: say, fatal: say, child: () => logger };
  return logger as never;
}
