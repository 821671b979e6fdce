import { createLeasedBucket, isIdle, type LeasedBucket, type BucketTerms } from "./leased-bucket.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";

/** Min buckets checked per sweep; a larger table is checked once in 25 sweeps. */
const minSweepSize = 500;

/**
 * The buckets a node keeps in memory: at most `limit`; buckets equal to a new one are evicted. `onDropped` is called for
 * each bucket that was removed.
 */
export class LeasedBucketTable {
  readonly #terms: BucketTerms;
  readonly #buckets: BoundedMap<string, LeasedBucket>;
  readonly #onDropped: (bucket: LeasedBucket) => void;
  /** Buckets with a lease, the one that ends first in front. */
  readonly #leased = new Set<LeasedBucket>();
  #nextId = 0;
  #walk: MapIterator<[string, LeasedBucket]>;

  constructor(terms: BucketTerms, limit: number, onDropped: (bucket: LeasedBucket) => void) {
    this.#terms = terms;
    this.#onDropped = onDropped;
    this.#buckets = new BoundedMap(limit, (bucket) => this.#drop(bucket));
    this.#walk = this.#buckets.entries();
  }

  get size(): number {
    return this.#buckets.size;
  }

  get(subject: string, now: number): LeasedBucket {
    const known = this.#buckets.get(subject);
    if (known !== undefined) return known;
    const bucket = createLeasedBucket(subject, this.#nextId++, this.#terms.rule, now);
    this.#buckets.set(subject, bucket);
    return bucket;
  }

  /** Drops the subject's bucket, if there is one. */
  forget(subject: string): void {
    const bucket = this.#buckets.get(subject);
    if (bucket === undefined) return;
    this.#buckets.delete(subject);
    this.#drop(bucket);
  }

  /** Call after a lease changed: it moves to the end of the order, or out of it if it has no tokens left. */
  noteLease(bucket: LeasedBucket): void {
    this.#leased.delete(bucket);
    if (bucket.lease > 0) this.#leased.add(bucket);
  }

  leased(): LeasedBucket[] {
    return [...this.#leased];
  }

  /** Yields, once each, the buckets whose lease ends by `moment`. */
  *withLeaseEndingBy(moment: number): Generator<LeasedBucket> {
    for (const bucket of this.#leased) {
      if (moment < bucket.leaseEndsAt) return;
      this.#leased.delete(bucket);
      yield bucket;
    }
  }

  /** Evicts the idle buckets of the next slice. */
  evictIdle(now: number): void {
    for (let left = Math.max(minSweepSize, this.#buckets.size / 25); left > 0; left--) {
      const next = this.#walk.next();
      if (next.done === true) return void (this.#walk = this.#buckets.entries());
      const [subject, bucket] = next.value;
      if (!isIdle(bucket, this.#terms, now)) continue;
      this.#buckets.delete(subject);
      this.#drop(bucket);
    }
  }

  #drop(bucket: LeasedBucket): void {
    bucket.isCached = false;
    this.#leased.delete(bucket);
    this.#onDropped(bucket);
  }
}
