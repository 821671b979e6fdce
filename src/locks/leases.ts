import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { HeldLease, type Lease } from "./held-lease.ts";
import { createLeaseStore } from "./lease-store.ts";

export interface LeaseOptions {
  /** How long the name stays taken after its holder vanished. */
  ttlMs: number;
}

export interface HoldOptions extends LeaseOptions {
  /** Ends the holding: `run` is asked to end, the lease is released. */
  signal: AbortSignal;
  /** How long to wait before trying again while another holds it. @default a third of `ttlMs` */
  retryMs?: number;
}

/** Names of which one node at a time is the holder. */
export interface Leases {
  /** Undefined where another holds it. Rejects where the store cannot tell. */
  acquire(name: string, options: LeaseOptions): Promise<Lease | undefined>;
  /**
   * Tries to be the holder until `signal` aborts, and runs `run` each time it is. `run` ends when its lease's signal
   * aborts; the lease is released after it has ended. Where it ends or throws before, it is run again after a pause, by
   * whoever is the holder then. Resolves when all has ended; never rejects.
   */
  hold(name: string, options: HoldOptions, run: (lease: Lease) => Promise<void>): Promise<void>;
}

export interface LeasesDependencies {
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  log: Logger;
  nodeId: string;
}

export function createLeases({ commands, keys, clock, log, nodeId }: LeasesDependencies): Leases {
  const store = createLeaseStore(commands, keys, nodeId);

  async function tryAcquire(name: string, ttlMs: number): Promise<HeldLease | { takenForMs: number }> {
    const askedAt = clock.monotonic();
    const answer = await store.acquire(name, ttlMs);
    if ("takenForMs" in answer) return answer;
    return new HeldLease({ store, clock, log }, { name, fence: answer.fence, ttlMs, askedAt });
  }

  /** Holds it once, if it can; milliseconds to wait before the next try. */
  async function holdOnce(name: string, options: HoldOptions, run: (lease: Lease) => Promise<void>): Promise<number> {
    const { ttlMs, signal, retryMs = ttlMs / 3 } = options;
    const pause = retryMs * (0.75 + Math.random() / 2);
    const lease = await tryAcquire(name, ttlMs);
    if (!(lease instanceof HeldLease)) return lease.takenForMs < 0 ? pause : Math.min(pause, lease.takenForMs + 1);
    if (!lease.isHeld()) return pause;
    const askToEnd = (): void => lease.askToEnd();
    signal.addEventListener("abort", askToEnd, { once: true });
    if (signal.aborted) lease.askToEnd();
    try {
      await run(lease);
    } finally {
      signal.removeEventListener("abort", askToEnd);
      await lease.release();
    }
    return pause;
  }

  return {
    async acquire(name, { ttlMs }) {
      const lease = await tryAcquire(name, ttlMs);
      return lease instanceof HeldLease && lease.isHeld() ? lease : undefined;
    },
    async hold(name, options, run) {
      const { signal, retryMs = options.ttlMs / 3 } = options;
      for (let failures = 0; !signal.aborted;) {
        try {
          const pause = await holdOnce(name, options, run);
          failures = 0;
          await sleep(clock, pause, signal);
        } catch (error) {
          if (failures++ === 0) log.warn({ lease: name, err: error }, "failed while holding or asking; trying again");
          await sleep(clock, retryMs, signal);
        }
      }
    },
  };
}

export type { Lease } from "./held-lease.ts";
