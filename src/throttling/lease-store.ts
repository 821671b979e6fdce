import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import { createBatcher } from "../runtime/batcher.ts";
import { micro } from "./rate-limit-result.ts";
import type { TokenBucketRule } from "./token-bucket.ts";

/** A node's request for one bucket, all in millionths of tokens. */
export interface LeaseRequest {
  /** Tokens held from the previous lease and kept. */
  readonly retained: number;
  /** Tokens held until now and given back. */
  readonly released: number;
  /** Tokens granted entirely or not at all. */
  readonly required: number;
  /** Total tokens wanted; beyond `required` they are granted as far as the bucket's share allows. */
  readonly requested: number;
  /** Granted tokens that are consumed immediately, and so are not leased. */
  readonly consumed: number;
}

export interface LeaseGrant {
  readonly granted: number;
  /** Left in the bucket after granting. */
  readonly left: number;
}

export interface LeaseTerms {
  readonly rule: TokenBucketRule;
  /** Max share of the remaining tokens that a lease may take beyond the required ones. */
  readonly share: number;
  /** Microseconds for which a node may spend a lease. */
  readonly life: number;
}

/**
 * How much longer Redis keeps a lease than its holder, in microseconds: by then the node has certainly stopped spending and
 * had time to release the rest. After that the rest counts as used.
 */
const grace = 2_000_000;

/** The buckets shared by all nodes; see `lease.lua`. Requests of one tick go in one call, except on a Cluster. */
export interface LeaseStore {
  lease(bucket: LeaseHolder, request: LeaseRequest): Promise<LeaseGrant>;
}

export interface LeaseHolder {
  readonly subject: string;
  /** Unique in this process. */
  readonly id: number;
}

interface LeaseCall {
  readonly bucket: LeaseHolder;
  readonly request: LeaseRequest;
}

/** Max buckets per call: enough to share its cost, few enough that a call takes Redis less than a millisecond. */
const maxBatchSize = 128;

/** `holder` identifies this process, not the node: after a restart it holds none of the earlier leases. */
export function createLeaseStore(
  { commands, keys, holder }: { commands: RedisClient; keys: Keys; holder: string },
  limiter: string,
  { rule, share, life }: LeaseTerms,
): LeaseStore {
  const script = loadScript(commands, new URL("./lease.lua", import.meta.url));
  const terms = [rule.capacity * micro, rule.refillPerSecond, life + grace, share];
  const argsOf = ({ bucket, request }: LeaseCall): (string | number)[] => {
    const { retained, released, required, requested, consumed } = request;
    return [`${holder}.${bucket.id}`, retained, released, required, requested, consumed];
  };

  async function leaseAll(calls: readonly LeaseCall[]): Promise<LeaseGrant[]> {
    const buckets = calls.map(({ bucket }) => keys.limiter(limiter, bucket.subject));
    const reply = (await script.run(buckets, [...terms, ...calls.flatMap(argsOf)])) as number[];
    return calls.map((_, index) => ({ granted: reply[2 * index] ?? 0, left: reply[2 * index + 1] ?? 0 }));
  }

  // On a Cluster buckets are in different slots, and a script may only use one.
  const load = createBatcher(leaseAll, commands.isCluster ? 1 : maxBatchSize);
  return { lease: (bucket, request) => load({ bucket, request }) };
}
