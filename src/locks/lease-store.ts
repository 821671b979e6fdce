import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";

export type Acquisition = { fence: number } | { takenForMs: number };

/**
 * The record of who holds what. At most one acquisition of a name stands at a time; each has a number greater than all
 * before it; only the acquisition that stands can lengthen or end itself, by that number.
 *
 * Three short scripts, and not redis-semaphore: its mutex hands out no number, believes itself held until a renewal
 * answers (so after a freeze or during an outage of any length it still says so), and lets a renewal that fails end the
 * process as an unhandled rejection.
 */
export interface LeaseStore {
  acquire(name: string, ttlMs: number): Promise<Acquisition>;
  /** False where it ended or another holds it. */
  renew(name: string, fence: number, ttlMs: number): Promise<boolean>;
  release(name: string, fence: number): Promise<void>;
}

export function createLeaseStore(commands: RedisClient, keys: Keys, nodeId: string): LeaseStore {
  const acquire = loadScript(commands, new URL("./acquire.lua", import.meta.url));
  const renew = loadScript(commands, new URL("./renew.lua", import.meta.url));
  const release = loadScript(commands, new URL("./release.lua", import.meta.url));
  const valueOf = (fence: number): string => `${fence}:${nodeId}`;
  return {
    async acquire(name, ttlMs) {
      const reply = await acquire.run([keys.lease(name), keys.fence(name)], [nodeId, ttlMs]);
      const [fence, takenForMs] = reply as [number, number];
      return fence > 0 ? { fence } : { takenForMs };
    },
    async renew(name, fence, ttlMs) {
      return (await renew.run([keys.lease(name)], [valueOf(fence), ttlMs])) === 1;
    },
    async release(name, fence) {
      await release.run([keys.lease(name)], [valueOf(fence)]);
    },
  };
}
