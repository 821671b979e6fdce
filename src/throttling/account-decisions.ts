import type { Clock } from "../runtime/clock.ts";
import type { WhenStoreIsAway } from "./absence.ts";
import type { Account } from "./account.ts";
import { decisionOf, refusedWithoutStore, uncounted, type Decision } from "./decision.ts";
import { bucketOutcome, levelAt, type TokenBucketRule } from "./token-bucket.ts";

/** What an account's owner is told, in each of the ways it can be decided. Costs and levels in millionths of tokens. */
export class AccountDecisions {
  readonly #rule: TokenBucketRule;
  readonly #whenStoreIsAway: WhenStoreIsAway;
  readonly #clock: Clock;

  constructor(clock: Clock, options: { rule: TokenBucketRule; whenStoreIsAway: WhenStoreIsAway }) {
    this.#clock = clock;
    this.#rule = options.rule;
    this.#whenStoreIsAway = options.whenStoreIsAway;
  }

  /** After it was charged. */
  admission(account: Account): Decision {
    return decisionOf(bucketOutcome(this.#rule, account.level, 0, true), this.#clock.now());
  }

  /** `level`: what there is for this act, which is less than it costs. */
  refusal(cost: number, level: number): Decision {
    return decisionOf(bucketOutcome(this.#rule, Math.max(0, level), cost, false), this.#clock.now());
  }

  /** By the node alone, which charges its own bucket where it counts. */
  withoutStore(account: Account, cost: number, now: number): Decision {
    if (this.#whenStoreIsAway === "open") return uncounted(this.#clock.now(), this.#rule.capacity);
    if (this.#whenStoreIsAway === "closed") return refusedWithoutStore(this.#clock.now());
    const level = levelAt(this.#rule, account, now);
    if (level < cost) return this.refusal(cost, level);
    charge(account, level, cost, now);
    return this.admission(account);
  }
}

/** Takes `cost` of what the node's own bucket holds at `now`. */
export function charge(account: Account, level: number, cost: number, now: number): void {
  account.level = level - cost;
  account.at = now;
  account.spent += cost;
}
