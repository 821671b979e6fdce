import { createAccount, isIdle, type Account, type AccountTerms } from "./account.ts";
import { BoundedMap } from "./bounded-map.ts";

/** Fewest accounts one sweep looks at; with more, each is looked at once in 25 sweeps. */
const smallestSlice = 500;

/**
 * The accounts a node keeps in memory: never more than `limit`, and none for long that a fresh one would equal.
 * `onDropped` hears of each that left.
 */
export class Accounts {
  readonly #terms: AccountTerms;
  readonly #accounts: BoundedMap<string, Account>;
  readonly #onDropped: (account: Account) => void;
  /** Those with a lease, the one that ends first in front. */
  readonly #holders = new Set<Account>();
  #nextId = 0;
  #walk: MapIterator<[string, Account]>;

  constructor(terms: AccountTerms, limit: number, onDropped: (account: Account) => void) {
    this.#terms = terms;
    this.#onDropped = onDropped;
    this.#accounts = new BoundedMap(limit, (account) => this.#drop(account));
    this.#walk = this.#accounts.entries();
  }

  get size(): number {
    return this.#accounts.size;
  }

  of(subject: string, now: number): Account {
    const known = this.#accounts.get(subject);
    if (known !== undefined) return known;
    const account = createAccount(subject, this.#nextId++, this.#terms.rule, now);
    this.#accounts.set(subject, account);
    return account;
  }

  /** The account's lease was renewed: it is now the one that ends last. Without tokens it is none. */
  noteLease(account: Account): void {
    this.#holders.delete(account);
    if (account.lease > 0) this.#holders.add(account);
  }

  holders(): Account[] {
    return [...this.#holders];
  }

  /** Hands out, once, the accounts whose lease may no longer be spent from that moment on. */
  *withLeaseEndingBy(moment: number): Generator<Account> {
    for (const account of this.#holders) {
      if (moment < account.leaseEndsAt) return;
      this.#holders.delete(account);
      yield account;
    }
  }

  /** Forgets those of the next slice that are idle. */
  forgetIdle(now: number): void {
    for (let visits = Math.max(smallestSlice, this.#accounts.size / 25); visits > 0; visits--) {
      const next = this.#walk.next();
      if (next.done === true) return void (this.#walk = this.#accounts.entries());
      const [subject, account] = next.value;
      if (!isIdle(account, this.#terms, now)) continue;
      this.#accounts.delete(subject);
      this.#drop(account);
    }
  }

  #drop(account: Account): void {
    account.isKept = false;
    this.#holders.delete(account);
    this.#onDropped(account);
  }
}
