import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { LeasedBucketLimiter } from "./leased-bucket-limiter.ts";
import type { Limiter } from "./limiter.ts";
import type { LimiterName, SessionCreationLimits } from "./policies.ts";
import { micro } from "./rate-limit-result.ts";
import type { UserLimits } from "./user-limits.ts";

/** Whose counts are cleared: a user's, an address', and with both also the logins of this user from this address. */
export interface CountedSubject {
  userId?: string | undefined;
  /** As the client has it; limits count its group. */
  address?: string | undefined;
}

/** What one of a user's buckets holds, in the limiter's unit. */
export interface BucketState {
  limiter: LimiterName;
  /** Of a limit that users with this role have. */
  role?: string;
  capacity: number;
  /** Without tokens that nodes have leased. */
  left: number;
}

/** The limiters that count users and addresses. */
export interface CountingLimiters {
  users: UserLimits;
  addresses: LeasedBucketLimiter;
  logins: Limiter;
  sessions: readonly { per: keyof SessionCreationLimits; limiter: Limiter }[];
  custom: ReadonlyMap<string, { limiter: Limiter }>;
}

/** One count: the limiter's name and the subject in its key, and what this node knows of it by itself. */
interface Count {
  name: string;
  subject: string;
  limiter: { forget(subject: string): void };
}

export const customLimiterName = (name: string): string => `custom-${name}`;
export const sessionLimiterName = (per: keyof SessionCreationLimits): string => `sessions-${per}`;
export const loginSubject = (addressOrGroup: string, user: string): string => `${addressOrGroup} ${user}`;

/** What limiters have counted of users and addresses, for operators and for the erasure of a user. */
export class LimiterCounts {
  readonly #store: { commands: RedisClient; keys: Keys };
  readonly #limiters: CountingLimiters;

  constructor(store: { commands: RedisClient; keys: Keys }, limiters: CountingLimiters) {
    this.#store = store;
    this.#limiters = limiters;
  }

  /**
   * Removes the counts from Redis; returns how many there were. Then call `forget` on each node, except for a user who has
   * no connections any more.
   */
  async clear(subject: CountedSubject): Promise<number> {
    const { commands, keys } = this.#store;
    const cleared = this.#countsOf(subject).map((count) => commands.unlink(keys.limiter(count.name, count.subject)));
    return (await Promise.all(cleared)).filter((removed) => removed > 0).length;
  }

  /** Forgets what this node has counted by itself, and gives back its leases. */
  forget(counted: CountedSubject): void {
    for (const { limiter, subject } of this.#countsOf(counted)) limiter.forget(subject);
  }

  /** What a user's buckets hold. Rejects if Redis cannot be reached. */
  bucketsOf(userId: string): Promise<BucketState[]> {
    return Promise.all(
      this.#limiters.users.all.map(async ({ policy, limiter, role, subjectOf }) => ({
        limiter: policy.name,
        ...(role === undefined ? {} : { role }),
        capacity: policy.rule.capacity,
        left: Math.floor((await limiter.left(subjectOf(userId))) / micro),
      })),
    );
  }

  #countsOf({ userId, address }: CountedSubject): Count[] {
    const group = address === undefined ? undefined : addressGroup(address);
    const isPair = userId !== undefined && group !== undefined;
    return [
      ...(userId === undefined ? [] : this.#ofUser(userId)),
      ...this.#ofSessions({ perUser: userId, perAddress: group }),
      ...(group === undefined ? [] : [{ name: "handshakes", subject: group, limiter: this.#limiters.addresses }]),
      ...(isPair ? [{ name: "logins", subject: loginSubject(group, userId), limiter: this.#limiters.logins }] : []),
    ];
  }

  *#ofUser(userId: string): Generator<Count> {
    const { users, custom } = this.#limiters;
    for (const { name, limiter, subjectOf } of users.all) yield { name, subject: subjectOf(userId), limiter };
    for (const [name, { limiter }] of custom) yield { name: customLimiterName(name), subject: userId, limiter };
  }

  *#ofSessions(subjects: Partial<Record<keyof SessionCreationLimits, string | undefined>>): Generator<Count> {
    for (const { per, limiter } of this.#limiters.sessions) {
      const subject = subjects[per];
      if (subject !== undefined) yield { name: sessionLimiterName(per), subject, limiter };
    }
  }
}
