import type { Clock } from "../runtime/clock.ts";
import type { Absence, WhenStoreIsAway } from "./absence.ts";
import { AccountDecisions, charge } from "./account-decisions.ts";
import { isWorthRenewing, nextPortion, requestFor, surrenderOf, wantsMore, type Account } from "./account.ts";
import { Accounts } from "./accounts.ts";
import { micro, monotonicMicros, type Decision } from "./decision.ts";
import type { LeaseGrant, LeaseStore, LeaseTerms } from "./lease-store.ts";
import { levelAt } from "./token-bucket.ts";

export interface LeasedBucketsOptions extends LeaseTerms {
  readonly whenStoreIsAway: WhenStoreIsAway;
  readonly maxAccounts: number;
}

export interface LeasedBucketsDependencies {
  store: LeaseStore;
  clock: Clock;
  absence: Absence;
}

/** For how long a node refuses by what it knew when it last asked. In microseconds. */
const knownFor = 1_000_000;

/** Those who ask ahead are in no hurry: together they cost the store and the node a fraction of what they cost alone. */
const askTogetherMs = 40;

/** How long before its end a lease is renewed or given back: a tenth of its life, and long enough for a sweep to come by. */
const lastPartOf = (life: number): number => Math.min(life / 2, Math.max(life / 10, 500_000));

/** Leases given back at a time when the node stops. */
const givenBackTogether = 1_000;

/**
 * Token buckets over all nodes that most acts never ask the store for.
 *
 * An act passes two layers. First the subject's bucket in this node, a few additions: it holds at most what the cluster
 * may still have for the subject, so it refuses by itself whatever the cluster surely would; where another node has
 * given something back meanwhile it learns so within a second. Then the lease: tokens that
 * the store took out of the cluster's bucket for this node, spent without asking. Where they are used up the act waits
 * for the next portion, or finds it there already, for an account with some traffic asks ahead.
 *
 * The bound. In any window of t seconds all nodes together let through at most `capacity + t · refillPerSecond`,
 * whatever the portions: the store counts leased tokens as still in the bucket, which therefore fills only up to the
 * capacity less what is out on leases, until they are given back, reported as spent, or ended. A node stops spending
 * seconds before the store stops counting, by a clock that never jumps, and begins to measure before it asks. A node that
 * dies takes its lease with it and no more. Beyond the bound can only be what the store itself forgot: a lost write of a
 * failover, at most what was taken in it; a lost store, one capacity.
 *
 * The price: tokens leased to one node are not there for the others for up to `life`; at most `share` of what was left.
 *
 * Memory: an account that a fresh one would equal is dropped within seconds, and there are never more than `maxAccounts`.
 */
export class LeasedBuckets {
  readonly #store: LeaseStore;
  readonly #clock: Clock;
  readonly #absence: Absence;
  readonly #options: LeasedBucketsOptions;
  readonly #decisions: AccountDecisions;
  readonly #accounts: Accounts;
  readonly #largestPortion: number;
  readonly #ahead = new Set<Account>();
  #isStopped = false;

  constructor({ store, clock, absence }: LeasedBucketsDependencies, options: LeasedBucketsOptions) {
    this.#store = store;
    this.#clock = clock;
    this.#absence = absence;
    this.#options = options;
    this.#decisions = new AccountDecisions(clock, options);
    this.#largestPortion = Math.floor(options.rule.capacity * micro * options.share);
    this.#accounts = new Accounts(options, options.maxAccounts, (account) => this.leave(account));
  }

  /** Accounts in memory. */
  get size(): number {
    return this.#accounts.size;
  }

  /** The account of a subject. Who keeps it across acts looks it up again once `isKept` is false. */
  account(subject: string): Account {
    return this.#accounts.of(subject, monotonicMicros(this.#clock));
  }

  /** Answers at once where the lease or this node's own bucket can tell. `cost` in millionths of tokens. */
  take(account: Account, cost: number): Decision | Promise<Decision> {
    const now = monotonicMicros(this.#clock);
    const level = levelAt(this.#options.rule, account, now);
    const isAffordable = level - account.waitingCost >= cost;
    if (isAffordable && account.waitingCost === 0 && account.lease >= cost && now < account.leaseEndsAt) {
      return this.#spendLease(account, level, cost, now);
    }
    if (!isAffordable && !this.#absence.isAway && !isOutdated(account, now)) {
      return this.#decisions.refusal(cost, level - account.waitingCost);
    }
    const mayWait = (isAffordable && account.isAsking) || this.#absence.mayAsk();
    return mayWait && !this.#isStopped ? this.#wait(account, cost) : this.#decisions.withoutStore(account, cost, now);
  }

  /** Hands back what the account did not use, and what is on its way to it: its user has left. */
  leave(account: Account): void {
    account.isLeaving = account.isAsking;
    account.portion = 0;
    this.#giveBack(account);
  }

  /**
   * Renews leases that are about to end, of those who go on, all in a few calls; gives back what was not used in time, and
   * forgets a slice of the accounts that are idle. Run a few times a second.
   */
  sweep(): void {
    const now = monotonicMicros(this.#clock);
    for (const account of this.#accounts.withLeaseEndingBy(now + lastPartOf(this.#options.life))) {
      if (isWorthRenewing(account) && this.#absence.mayAsk()) void this.#ask(account);
      else this.#giveBack(account);
    }
    this.#accounts.forgetIdle(now);
  }

  /** Gives everything back. What still comes is decided by this node's buckets alone. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const holders = this.#accounts.holders().filter((account) => !account.isAsking);
    for (let from = 0; from < holders.length && this.#absence.mayAsk(); from += givenBackTogether) {
      await Promise.all(holders.slice(from, from + givenBackTogether).map((account) => this.#surrender(account)));
    }
  }

  // The lease

  #spendLease(account: Account, level: number, cost: number, now: number): Decision {
    charge(account, level, cost, now);
    account.lease -= cost;
    if (wantsMore(account)) this.#askAhead(account);
    return this.#decisions.admission(account);
  }

  #askAhead(account: Account): void {
    if (this.#ahead.size === 0) this.#clock.after(askTogetherMs, () => this.#askTogether());
    this.#ahead.add(account);
  }

  #askTogether(): void {
    for (const account of this.#ahead) {
      if (wantsMore(account) && !this.#isStopped && this.#absence.mayAsk()) void this.#ask(account);
    }
    this.#ahead.clear();
  }

  // The store

  #wait(account: Account, cost: number): Promise<Decision> {
    return new Promise((decide) => {
      account.waiting.push({ cost, decide });
      account.waitingCost += cost;
      if (!account.isAsking) void this.#ask(account);
    });
  }

  async #ask(account: Account): Promise<void> {
    account.isAsking = true;
    try {
      do await this.#askOnce(account);
      while (account.waiting.length > 0);
    } catch (error) {
      this.#absence.began(error);
      this.#accounts.noteLease(account);
      this.#decideWaiting(account, (cost, now) => this.#decisions.withoutStore(account, cost, now));
    } finally {
      account.isAsking = false;
      if (account.isLeaving || this.#isStopped) this.leave(account);
    }
  }

  /** Each answer decides at least the first of those who wait. */
  async #askOnce(account: Account): Promise<void> {
    const askedAt = monotonicMicros(this.#clock);
    this.#choosePortion(account, askedAt);
    const request = requestFor(account, askedAt);
    account.lease -= request.returns;
    const grant = await this.#store.lease(account, request);
    this.#absence.ended();
    this.#credit(account, grant, askedAt);
    this.#decideWaiting(account, (cost, now) => this.#decideFromLease(account, cost, now));
  }

  #choosePortion(account: Account, now: number): void {
    const cost = account.waiting[0]?.cost ?? 0;
    const largest = this.#largestPortion;
    account.portion = nextPortion(account, { now, cost, life: this.#options.life, largest });
    account.askedAt = now;
    account.spent = 0;
  }

  /** The store knows best: what it has left and what this node holds is what the subject can still have. */
  #credit(account: Account, { granted, left }: LeaseGrant, askedAt: number): void {
    account.lease += granted;
    account.level = left + account.lease;
    account.at = monotonicMicros(this.#clock);
    // Where nothing was granted the store may not have renewed what is kept.
    if (granted > 0) account.leaseEndsAt = askedAt + this.#options.life;
    this.#accounts.noteLease(account);
  }

  #decideWaiting(account: Account, decide: (cost: number, now: number) => Decision | undefined): void {
    const now = monotonicMicros(this.#clock);
    for (let first = account.waiting[0]; first !== undefined; first = account.waiting[0]) {
      const decision = decide(first.cost, now);
      if (decision === undefined) return;
      account.waiting.shift();
      account.waitingCost -= first.cost;
      first.decide(decision);
    }
  }

  /** Undefined where the cluster has enough and this node must ask for it again. */
  #decideFromLease(account: Account, cost: number, now: number): Decision | undefined {
    const level = levelAt(this.#options.rule, account, now);
    if (account.lease >= cost) return this.#spendLease(account, level, cost, now);
    return account.level < cost ? this.#decisions.refusal(cost, level) : undefined;
  }

  #giveBack(account: Account): void {
    if (account.lease > 0 && !account.isAsking) void this.#surrender(account);
  }

  async #surrender(account: Account): Promise<void> {
    const request = surrenderOf(account);
    account.isAsking = true;
    account.lease = 0;
    try {
      await this.#store.lease(account, request);
    } catch (error) {
      // The store will count it as used when its life ends.
      this.#absence.began(error);
    } finally {
      account.isAsking = false;
      if (account.waiting.length > 0) void this.#ask(account);
    }
  }
}

const isOutdated = (account: Account, now: number): boolean => !account.isAsking && now - account.askedAt >= knownFor;
