import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import { micro } from "./decision.ts";
import type { TokenBucketRule } from "./token-bucket.ts";

/** What a node asks of one bucket, all in millionths of tokens. */
export interface LeaseRequest {
  /** Still held from before, and kept. */
  readonly keeps: number;
  /** Held until now, and given back. */
  readonly returns: number;
  /** Granted whole or not at all. */
  readonly need: number;
  /** Granted beyond the need as far as the bucket's share allows. */
  readonly wish: number;
  /** What of it is spent at once, and so is no lease. */
  readonly spends: number;
}

export interface LeaseGrant {
  readonly granted: number;
  /** Left in the bucket after granting. */
  readonly left: number;
}

export interface LeaseTerms {
  readonly rule: TokenBucketRule;
  /** Largest share of what is left that one portion may take beyond what is needed at once. */
  readonly share: number;
  /** Microseconds for which a node may spend a lease. */
  readonly life: number;
}

/**
 * How much longer the store keeps a lease on record, in microseconds: by then the node has surely stopped spending, and
 * has had the time to give back the rest. After that the rest counts as used.
 */
const grace = 2_000_000;

/** The buckets over all nodes; see `lease.lua`. */
export interface LeaseStore {
  lease(account: { subject: string; id: number }, request: LeaseRequest): Promise<LeaseGrant>;
}

/** `holder` names this process, not the node: one that starts again holds nothing of what the one before it held. */
export function createLeaseStore(
  { commands, keys, holder }: { commands: RedisClient; keys: Keys; holder: string },
  limiter: string,
  { rule, share, life }: LeaseTerms,
): LeaseStore {
  const script = loadScript(commands, new URL("./lease.lua", import.meta.url));
  const terms = [rule.capacity * micro, rule.refillPerSecond, life + grace];
  return {
    async lease({ subject, id }, { keeps, returns, need, wish, spends }) {
      const args = [...terms, `${holder}.${id}`, keeps, returns, need, wish, share, spends];
      const [granted, left] = (await script.run([keys.limiter(limiter, subject)], args)) as [number, number];
      return { granted, left };
    },
  };
}
