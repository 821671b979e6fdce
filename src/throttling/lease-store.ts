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

/** The buckets over all nodes; see `lease.lua`. What is asked in one moment goes in one call, where the store allows it. */
export interface LeaseStore {
  lease(account: LeaseHolder, request: LeaseRequest): Promise<LeaseGrant>;
}

export interface LeaseHolder {
  readonly subject: string;
  /** Unique in this process. */
  readonly id: number;
}

interface Asked {
  readonly account: LeaseHolder;
  readonly request: LeaseRequest;
  readonly resolve: (grant: LeaseGrant) => void;
  readonly reject: (error: unknown) => void;
}

/** Buckets in one call: enough to share its cost, few enough that the store is never busy with one for a millisecond. */
const mostTogether = 128;

/** `holder` names this process, not the node: one that starts again holds nothing of what the one before it held. */
export function createLeaseStore(
  { commands, keys, holder }: { commands: RedisClient; keys: Keys; holder: string },
  limiter: string,
  { rule, share, life }: LeaseTerms,
): LeaseStore {
  const script = loadScript(commands, new URL("./lease.lua", import.meta.url));
  const terms = [rule.capacity * micro, rule.refillPerSecond, life + grace, share];
  // On Cluster buckets live in different slots, and a script may touch only one.
  const most = commands.isCluster ? 1 : mostTogether;
  let asked: Asked[] = [];

  function askAll(): void {
    const all = asked;
    asked = [];
    for (let from = 0; from < all.length; from += most) void ask(all.slice(from, from + most));
  }

  async function ask(batch: readonly Asked[]): Promise<void> {
    try {
      const buckets = batch.map(({ account }) => keys.limiter(limiter, account.subject));
      const reply = await script.run(buckets, [...terms, ...batch.flatMap(argsOf)]);
      answer(batch, reply as number[]);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  const argsOf = ({ account, request }: Asked): (string | number)[] => {
    const { keeps, returns, need, wish, spends } = request;
    return [`${holder}.${account.id}`, keeps, returns, need, wish, spends];
  };

  return {
    lease: (account, request) =>
      new Promise((resolve, reject) => {
        if (asked.length === 0) queueMicrotask(askAll);
        asked.push({ account, request, resolve, reject });
      }),
  };
}

function answer(batch: readonly Asked[], reply: readonly number[]): void {
  for (const [index, { resolve }] of batch.entries()) {
    resolve({ granted: reply[2 * index] ?? 0, left: reply[2 * index + 1] ?? 0 });
  }
}
