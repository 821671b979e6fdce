import { micro, type RateLimitResult } from "./rate-limit-result.ts";
import type { LeaseRequest } from "./lease-store.ts";
import { fullBucket, levelAt, type Bucket, type TokenBucketRule } from "./token-bucket.ts";

export interface BucketTerms {
  readonly rule: TokenBucketRule;
  /** Microseconds for which a lease may be spent. */
  readonly life: number;
}

/** A request that waits for a reply from Redis. */
export interface WaitingTake {
  readonly cost: number;
  readonly resolve: (result: RateLimitResult) => void;
}

/**
 * A subject's bucket as this node knows it. `level` and `at` approximate the cluster's bucket: requests allowed here are
 * subtracted, and each reply of Redis corrects them. Tokens in millionths, times in monotonic microseconds.
 */
export interface LeasedBucket extends Bucket {
  readonly subject: string;
  /** Unique in this process. Redis stores leases under it, so a dropped bucket is never confused with its successor. */
  readonly id: number;
  /** Unspent tokens of the lease, and when it ends. */
  lease: number;
  leaseEndsAt: number;
  /** Size of the last requested lease, when it was requested, and the tokens consumed since. */
  leaseSize: number;
  requestedAt: number;
  consumed: number;
  /** In order of arrival; the request to Redis is for the first. */
  readonly waiting: WaitingTake[];
  waitingCost: number;
  /** One request at a time, so that what a node reports about its lease stays true until the reply. */
  isRequesting: boolean;
  /** The lease being requested is released on arrival, because its user has disconnected. */
  isReleasing: boolean;
  /** False once it was dropped; holders of a reference look the subject up again. */
  isCached: boolean;
}

export const createLeasedBucket = (subject: string, id: number, rule: TokenBucketRule, now: number): LeasedBucket => ({
  ...fullBucket(rule, now),
  subject,
  id,
  lease: 0,
  leaseEndsAt: 0,
  leaseSize: 0,
  requestedAt: -Infinity,
  consumed: 0,
  waiting: [],
  waitingCost: 0,
  isRequesting: false,
  isReleasing: false,
  isCached: true,
});

/**
 * The size of the next lease, in whole tokens: the consumption over a lease's life at the rate since the last request; at
 * most twice and at least half the last size, so that neither a burst nor a pause is mistaken for a rate. A quiet user
 * leases single tokens, a busy one soon the maximum.
 */
export function nextLeaseSize(
  { leaseSize, requestedAt, consumed }: Pick<LeasedBucket, "leaseSize" | "requestedAt" | "consumed">,
  { now, cost, life, largest }: { now: number; cost: number; life: number; largest: number },
): number {
  const elapsed = Math.max(1, now - requestedAt);
  const used = (consumed * life) / elapsed;
  const least = elapsed < 2 * life ? leaseSize / 2 : 0;
  return Math.floor(Math.min(Math.max(used, least), Math.max(leaseSize, cost) * 2, largest) / micro) * micro;
}

/** Leases below this size, in millionths of tokens, are not prefetched. */
const minPrefetch = 2 * micro;

/** True if a lease runs low and the cluster probably has enough tokens left for another. */
export const shouldPrefetch = ({ lease, leaseSize, level, isRequesting }: LeasedBucket): boolean =>
  lease * 4 < leaseSize && leaseSize >= minPrefetch && level - lease >= leaseSize && !isRequesting;

/** True if a lease that is about to end should be renewed: its user is active, and not too slow. */
export const shouldRenew = ({ leaseSize, consumed, isRequesting }: LeasedBucket): boolean =>
  consumed >= minPrefetch && leaseSize >= minPrefetch && !isRequesting;

/** The lease to request for the waiting requests, or a prefetch if there are none. */
export function requestFor(bucket: LeasedBucket, now: number): LeaseRequest {
  const [first] = bucket.waiting;
  if (first === undefined) return prefetchRequest(bucket, now);
  const { lease, leaseSize, waitingCost } = bucket;
  const retained = now >= bucket.leaseEndsAt ? 0 : lease;
  const required = Math.max(0, first.cost - retained);
  return {
    retained,
    released: lease - retained,
    required,
    requested: Math.max(required, leaseSize, waitingCost - retained),
    consumed: first.cost,
  };
}

/** Adjusts the lease to its size, up or down, and renews its life: at least one token of it is always new. */
function prefetchRequest({ lease, leaseSize, leaseEndsAt }: LeasedBucket, now: number): LeaseRequest {
  const retained = now >= leaseEndsAt ? 0 : Math.min(lease, Math.max(0, leaseSize - micro));
  return { retained, released: lease - retained, required: 0, requested: leaseSize - retained, consumed: 0 };
}

/** Changes nothing: its reply tells what is left. */
export const emptyRequest: LeaseRequest = { retained: 0, released: 0, required: 0, requested: 0, consumed: 0 };

/** Releases the whole lease. */
export const releaseRequest = ({ lease }: LeasedBucket): LeaseRequest => ({ ...emptyRequest, released: lease });

/**
 * True if a new bucket would behave the same: no lease, no waiting requests, a full bucket, and a last lease too old to
 * determine the size of the next.
 */
export const isIdle = (bucket: LeasedBucket, { rule, life }: BucketTerms, now: number): boolean =>
  !bucket.isRequesting &&
  bucket.lease === 0 &&
  now - bucket.requestedAt > life &&
  levelAt(rule, bucket, now) >= rule.capacity * micro;
