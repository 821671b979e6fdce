import { writeSync } from "node:fs";
import { createLeases } from "../../src/locks/leases.ts";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";

/** What a holder process is told, as JSON in its one argument. */
export interface HolderOrders {
  url: string;
  prefix: string;
  name: string;
  ttlMs: number;
}

/**
 * Holds a lease and acts under it each millisecond; each act is a line, `<machine's monotonic ms> <fence>`,
 * with the time before it asked whether it still holds it.
 */
async function run({ url, prefix, name, ttlMs }: HolderOrders): Promise<void> {
  const log = createLogger({ level: "silent" });
  const redis = createRedisConnections({ address: { topology: "single", url }, nodeId: "holder", log });
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  const leases = createLeases({ commands, keys: createKeys(prefix), clock: systemClock, log, nodeId: "holder" });
  const ending = new AbortController();
  process.once("SIGTERM", () => ending.abort());

  await leases.hold(name, { ttlMs, signal: ending.signal }, async (lease) => {
    while (!lease.signal.aborted) {
      const at = process.hrtime.bigint() / 1_000_000n;
      if (lease.isHeld()) writeSync(1, `${at} ${lease.fence}\n`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
  await redis.close();
}

const [orders] = process.argv.slice(2);
if (orders !== undefined) await run(JSON.parse(orders) as HolderOrders);
