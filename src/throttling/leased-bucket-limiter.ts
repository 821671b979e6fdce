import type { Clock } from "../runtime/clock.ts";
import type { CircuitBreaker } from "../redis/circuit-breaker.ts";
import type { WhenStoreIsAway } from "./rate-limit-result.ts";
import { BucketResults, consume } from "./bucket-results.ts";
import {
  shouldRenew,
  nextLeaseSize,
  requestFor,
  emptyRequest,
  releaseRequest,
  shouldPrefetch,
  type LeasedBucket,
} from "./leased-bucket.ts";
import { LeasedBucketTable } from "./leased-bucket-table.ts";
import { micro, monotonicMicros, type RateLimitResult } from "./rate-limit-result.ts";
import type { LeaseGrant, LeaseStore, LeaseTerms } from "./lease-store.ts";
import { levelAt } from "./token-bucket.ts";

export interface LeasedBucketLimiterOptions extends LeaseTerms {
  readonly whenStoreIsAway: WhenStoreIsAway;
  readonly maxBuckets: number;
}

export interface LeasedBucketLimiterDependencies {
  store: LeaseStore;
  clock: Clock;
  breaker: CircuitBreaker;
}

/** How long a node may refuse based on the store's last reply, in microseconds. */
const refusalLifetime = 1_000_000;

/** Prefetches are not urgent: collected over this time, they cost a fraction of single requests. */
const prefetchDelayMs = 40;

/** How long before its end a lease is renewed or released: a tenth of its life, and longer than the sweep interval. */
const renewalLead = (life: number): number => Math.min(life / 2, Math.max(life / 10, 500_000));

/** No bucket has this id. */
const noHolder = -1;

/** Leases released at once when the node stops. */
const releaseBatchSize = 1_000;

/**
 * Token buckets shared by all nodes, for which most requests need no round trip to Redis.
 *
 * A request passes two layers. The first is this node's copy of the subject's bucket, a few additions: its level is an
 * upper bound of what the cluster has left for the subject, so the node can refuse on its own; tokens that another node
 * released meanwhile are noticed within a second. The second is the lease: tokens that Redis reserved for this node,
 * which it spends without asking. If they are used up, the request waits for the next lease; busy buckets prefetch it.
 *
 * The bound: in any window of t seconds all nodes together allow at most `capacity + t · refillPerSecond`, whatever the
 * lease sizes. Redis counts leased tokens as still in the bucket, which therefore refills only up to the capacity minus
 * the leases, until they are released, reported as spent, or expired. A node stops spending seconds before Redis stops
 * counting, measured on a monotonic clock from before the request was sent. A node that crashes loses its lease and
 * nothing else. Only what Redis itself lost can exceed the bound: writes lost in a failover, or one capacity if all
 * data was lost.
 *
 * The price: tokens leased to one node are unavailable to the others for up to `life`; at most `share` of what was left.
 *
 * Memory: a bucket equal to a new one is dropped within seconds, and there are at most `maxBuckets`.
 */
export class LeasedBucketLimiter {
  readonly #store: LeaseStore;
  readonly #clock: Clock;
  readonly #breaker: CircuitBreaker;
  readonly #options: LeasedBucketLimiterOptions;
  readonly #results: BucketResults;
  readonly #buckets: LeasedBucketTable;
  readonly #maxLeaseSize: number;
  readonly #prefetching = new Set<LeasedBucket>();
  #isStopped = false;

  constructor({ store, clock, breaker }: LeasedBucketLimiterDependencies, options: LeasedBucketLimiterOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#breaker = breaker;
    this.#options = options;
    this.#results = new BucketResults(clock, options);
    this.#maxLeaseSize = Math.floor(options.rule.capacity * micro * options.share);
    this.#buckets = new LeasedBucketTable(options, options.maxBuckets, (bucket) => this.release(bucket));
  }

  /** Buckets in memory. */
  get size(): number {
    return this.#buckets.size;
  }

  /** The bucket of a subject. A caller that keeps it looks it up again once `isCached` is false. */
  bucket(subject: string): LeasedBucket {
    return this.#buckets.get(subject, monotonicMicros(this.#clock));
  }

  /** Synchronous if the lease or this node's copy of the bucket suffices. `cost` in millionths of tokens. */
  take(bucket: LeasedBucket, cost: number): RateLimitResult | Promise<RateLimitResult> {
    const now = monotonicMicros(this.#clock);
    const level = levelAt(this.#options.rule, bucket, now);
    const isAffordable = level - bucket.waitingCost >= cost;
    if (isAffordable && bucket.waitingCost === 0 && bucket.lease >= cost && now < bucket.leaseEndsAt) {
      return this.#spendLease(bucket, level, cost, now);
    }
    if (!isAffordable && !this.#breaker.isOpen && !isStale(bucket, now)) {
      return this.#results.refused(cost, level - bucket.waitingCost);
    }
    const mayWait = (isAffordable && bucket.isRequesting) || this.#breaker.allowRequest();
    return mayWait && !this.#isStopped ? this.#wait(bucket, cost) : this.#results.withoutStore(bucket, cost, now);
  }

  /** Releases the unused lease, also one that is being requested: its user has disconnected. */
  release(bucket: LeasedBucket): void {
    bucket.isReleasing = bucket.isRequesting;
    bucket.leaseSize = 0;
    this.#releaseLease(bucket);
  }

  /** Drops this node's copy of the subject's bucket: the next request asks Redis. */
  forget(subject: string): void {
    this.#buckets.forget(subject);
  }

  /** Tokens left in Redis that no node has leased, in millionths; takes nothing. Rejects without Redis. */
  async left(subject: string): Promise<number> {
    return (await this.#store.lease({ subject, id: noHolder }, emptyRequest)).left;
  }

  /**
   * Renews the leases of active buckets before they end, in a few calls; releases unused ones, and evicts idle buckets of
   * the next slice. Called a few times a second.
   */
  sweep(): void {
    const now = monotonicMicros(this.#clock);
    for (const bucket of this.#buckets.withLeaseEndingBy(now + renewalLead(this.#options.life))) {
      if (shouldRenew(bucket) && this.#breaker.allowRequest()) void this.#request(bucket);
      else this.#releaseLease(bucket);
    }
    this.#buckets.evictIdle(now);
  }

  /** Releases all leases. Later requests are limited by this node's buckets alone. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const holders = this.#buckets.leased().filter((bucket) => !bucket.isRequesting);
    for (let from = 0; from < holders.length && this.#breaker.allowRequest(); from += releaseBatchSize) {
      await Promise.all(holders.slice(from, from + releaseBatchSize).map((bucket) => this.#sendRelease(bucket)));
    }
  }

  // Lease

  #spendLease(bucket: LeasedBucket, level: number, cost: number, now: number): RateLimitResult {
    consume(bucket, level, cost, now);
    bucket.lease -= cost;
    if (shouldPrefetch(bucket)) this.#prefetch(bucket);
    return this.#results.allowed(bucket);
  }

  #prefetch(bucket: LeasedBucket): void {
    if (this.#prefetching.size === 0) this.#clock.after(prefetchDelayMs, () => this.#sendPrefetches());
    this.#prefetching.add(bucket);
  }

  #sendPrefetches(): void {
    for (const bucket of this.#prefetching) {
      if (shouldPrefetch(bucket) && !this.#isStopped && this.#breaker.allowRequest()) void this.#request(bucket);
    }
    this.#prefetching.clear();
  }

  // Redis

  #wait(bucket: LeasedBucket, cost: number): Promise<RateLimitResult> {
    return new Promise((resolve) => {
      bucket.waiting.push({ cost, resolve });
      bucket.waitingCost += cost;
      if (!bucket.isRequesting) void this.#request(bucket);
    });
  }

  async #request(bucket: LeasedBucket): Promise<void> {
    bucket.isRequesting = true;
    try {
      do await this.#requestOnce(bucket);
      while (bucket.waiting.length > 0);
    } catch (error) {
      this.#breaker.recordFailure(error);
      this.#buckets.noteLease(bucket);
      this.#settleWaiting(bucket, (cost, now) => this.#results.withoutStore(bucket, cost, now));
    } finally {
      bucket.isRequesting = false;
      if (bucket.isReleasing || this.#isStopped) this.release(bucket);
    }
  }

  /** Each reply settles at least the first waiting request. */
  async #requestOnce(bucket: LeasedBucket): Promise<void> {
    const requestedAt = monotonicMicros(this.#clock);
    this.#chooseLeaseSize(bucket, requestedAt);
    const request = requestFor(bucket, requestedAt);
    bucket.lease -= request.released;
    const grant = await this.#store.lease(bucket, request);
    this.#breaker.recordSuccess();
    this.#credit(bucket, grant, requestedAt);
    this.#settleWaiting(bucket, (cost, now) => this.#takeFromLease(bucket, cost, now));
  }

  #chooseLeaseSize(bucket: LeasedBucket, now: number): void {
    const cost = bucket.waiting[0]?.cost ?? 0;
    const largest = this.#maxLeaseSize;
    bucket.leaseSize = nextLeaseSize(bucket, { now, cost, life: this.#options.life, largest });
    bucket.requestedAt = now;
    bucket.consumed = 0;
  }

  /** Redis is authoritative: its level plus this node's lease is what the subject has left. */
  #credit(bucket: LeasedBucket, { granted, left }: LeaseGrant, requestedAt: number): void {
    bucket.lease += granted;
    bucket.level = left + bucket.lease;
    bucket.at = monotonicMicros(this.#clock);
    // If nothing was granted, Redis may not have renewed the retained tokens.
    if (granted > 0) bucket.leaseEndsAt = requestedAt + this.#options.life;
    this.#buckets.noteLease(bucket);
  }

  #settleWaiting(bucket: LeasedBucket, take: (cost: number, now: number) => RateLimitResult | undefined): void {
    const now = monotonicMicros(this.#clock);
    for (let first = bucket.waiting[0]; first !== undefined; first = bucket.waiting[0]) {
      const result = take(first.cost, now);
      if (result === undefined) return;
      bucket.waiting.shift();
      bucket.waitingCost -= first.cost;
      first.resolve(result);
    }
  }

  /** Undefined if the cluster has enough tokens and this node must request them again. */
  #takeFromLease(bucket: LeasedBucket, cost: number, now: number): RateLimitResult | undefined {
    const level = levelAt(this.#options.rule, bucket, now);
    if (bucket.lease >= cost) return this.#spendLease(bucket, level, cost, now);
    return bucket.level < cost ? this.#results.refused(cost, level) : undefined;
  }

  #releaseLease(bucket: LeasedBucket): void {
    if (bucket.lease > 0 && !bucket.isRequesting) void this.#sendRelease(bucket);
  }

  async #sendRelease(bucket: LeasedBucket): Promise<void> {
    const request = releaseRequest(bucket);
    bucket.isRequesting = true;
    bucket.lease = 0;
    try {
      await this.#store.lease(bucket, request);
    } catch (error) {
      // Redis counts the lease as used when it expires.
      this.#breaker.recordFailure(error);
    } finally {
      bucket.isRequesting = false;
      if (bucket.waiting.length > 0) void this.#request(bucket);
    }
  }
}

const isStale = (bucket: LeasedBucket, now: number): boolean =>
  !bucket.isRequesting && now - bucket.requestedAt >= refusalLifetime;
