import { micro, type Decision } from "./decision.ts";
import type { LeaseRequest } from "./lease-store.ts";
import { fullBucket, levelAt, type Bucket, type TokenBucketRule } from "./token-bucket.ts";

export interface AccountTerms {
  readonly rule: TokenBucketRule;
  /** Microseconds for which a lease may be spent. */
  readonly life: number;
}

/** An act that waits for the store. */
export interface Waiting {
  readonly cost: number;
  readonly decide: (decision: Decision) => void;
}

/**
 * One subject as this node knows it. Its own bucket (`level`, `at`) follows the whole cluster's: it is charged with
 * what passes here, and set right by each answer of the store. Tokens in millionths, times in monotonic microseconds.
 */
export interface Account extends Bucket {
  readonly subject: string;
  /** Unique in this process. The store keeps leases by it: an account that was dropped is never taken for its successor. */
  readonly id: number;
  /** Tokens of the lease that are not spent, and when they may no longer be. */
  lease: number;
  leaseEndsAt: number;
  /** What the last portion wished for, when, and what was spent since. */
  portion: number;
  askedAt: number;
  spent: number;
  /** In the order they came; the first is asked for. */
  readonly waiting: Waiting[];
  waitingCost: number;
  /** One request at a time, so that what a node says of its lease stays true until it is answered. */
  isAsking: boolean;
  /** What comes with the answer under way goes back: nobody is left to use it. */
  isLeaving: boolean;
  /** False once it was dropped: whoever still holds it looks the subject up again. */
  isKept: boolean;
}

export const createAccount = (subject: string, id: number, rule: TokenBucketRule, now: number): Account => ({
  ...fullBucket(rule, now),
  subject,
  id,
  lease: 0,
  leaseEndsAt: 0,
  portion: 0,
  askedAt: -Infinity,
  spent: 0,
  waiting: [],
  waitingCost: 0,
  isAsking: false,
  isLeaving: false,
  isKept: true,
});

/**
 * How much to hold, in whole tokens: what is used in a lease's life at the rate since the store was last asked; at most
 * twice and at least half the last portion, so that neither a burst nor a pause is taken for a rate. A quiet user takes
 * single tokens, a busy one soon as many as it may.
 */
export function nextPortion(
  { portion, askedAt, spent }: Pick<Account, "portion" | "askedAt" | "spent">,
  { now, cost, life, largest }: { now: number; cost: number; life: number; largest: number },
): number {
  const elapsed = Math.max(1, now - askedAt);
  const used = (spent * life) / elapsed;
  const least = elapsed < 2 * life ? portion / 2 : 0;
  return Math.floor(Math.min(Math.max(used, least), Math.max(portion, cost) * 2, largest) / micro) * micro;
}

/** Below this, in millionths of tokens, a portion is not asked for ahead of need. */
const smallestPortionAhead = 2 * micro;

/** True where a lease runs low and the cluster has enough left that asking ahead will bring something. */
export const wantsMore = ({ lease, portion, level, isAsking }: Account): boolean =>
  lease * 4 < portion && portion >= smallestPortionAhead && level - lease >= portion && !isAsking;

/** True where a lease that is about to end is worth its renewal: its user goes on, and not too slowly. */
export const isWorthRenewing = ({ portion, spent, isAsking }: Account): boolean =>
  spent >= smallestPortionAhead && portion >= smallestPortionAhead && !isAsking;

/** What the account needs of the store for those who wait, or ahead of need where nobody does. */
export function requestFor(account: Account, now: number): LeaseRequest {
  const [first] = account.waiting;
  if (first === undefined) return requestAhead(account, now);
  const { lease, portion, waitingCost } = account;
  const isOver = now >= account.leaseEndsAt;
  const keeps = isOver ? 0 : lease;
  const need = Math.max(0, first.cost - keeps);
  return {
    keeps,
    returns: lease - keeps,
    need,
    wish: Math.max(need, portion, waitingCost - keeps),
    spends: first.cost,
  };
}

/** Brings the lease to a portion, from below or from above, and its life to a whole one: some part of it is always new. */
function requestAhead({ lease, portion, leaseEndsAt }: Account, now: number): LeaseRequest {
  const keeps = now >= leaseEndsAt ? 0 : Math.min(lease, Math.max(0, portion - micro));
  return { keeps, returns: lease - keeps, need: 0, wish: portion - keeps, spends: 0 };
}

/** All of the lease goes back. */
export const surrenderOf = (account: Account): LeaseRequest => ({
  keeps: 0,
  returns: account.lease,
  need: 0,
  wish: 0,
  spends: 0,
});

/**
 * True where a fresh account would answer the same: nothing leased, nobody waiting, the bucket full, and the last
 * portion too long ago to tell how much the next one should be.
 */
export const isIdle = (account: Account, { rule, life }: AccountTerms, now: number): boolean =>
  !account.isAsking &&
  account.lease === 0 &&
  now - account.askedAt > life &&
  levelAt(rule, account, now) >= rule.capacity * micro;
