import type { LeasedBucketLimiter } from "./leased-bucket-limiter.ts";
import type { LeasedPolicy, Policies } from "./policies.ts";

/** The buckets of all users for whom one limit holds. */
export interface UserBuckets {
  readonly policy: LeasedPolicy;
  readonly limiter: LeasedBucketLimiter;
  /** Key of the limiter, and the user's subject in it. */
  readonly name: string;
  subjectOf(userId: string): string;
  /** The role whose users have these buckets. @default everybody without a limit of a role */
  readonly role?: string;
}

/** What limits one user. */
export interface UserLimit {
  readonly messages: UserBuckets;
  readonly bytes: UserBuckets;
  /** Changes of state and ephemeral publications; the same for all roles. */
  readonly ephemeral: UserBuckets;
}

/** A user, as limits see one. */
export interface LimitedUser {
  readonly userId: string;
  readonly roles?: readonly string[] | undefined;
}

type CreateBuckets = (policy: LeasedPolicy, name: string) => LeasedBucketLimiter;

/**
 * The limits of messages and bytes: those of the first configured role that a user has, otherwise the general ones. A role
 * has buckets of its own, so a user's sessions with and without the role do not share one.
 */
export class UserLimits {
  readonly general: UserLimit;
  readonly #byRole: readonly (readonly [role: string, limit: UserLimit])[];

  constructor({ messages, bytes, ephemeral, roles }: Policies, create: CreateBuckets) {
    const general = (this.general = {
      messages: generalBuckets(messages, create),
      bytes: generalBuckets(bytes, create),
      ephemeral: generalBuckets(ephemeral, create),
    });
    this.#byRole = [...roles].map(([role, policies]) => [
      role,
      {
        messages: policies.messages ? roleBuckets(role, policies.messages, create) : general.messages,
        bytes: policies.bytes ? roleBuckets(role, policies.bytes, create) : general.bytes,
        ephemeral: general.ephemeral,
      },
    ]);
  }

  of(roles: readonly string[] = []): UserLimit {
    if (this.#byRole.length === 0 || roles.length === 0) return this.general;
    return this.#byRole.find(([role]) => roles.includes(role))?.[1] ?? this.general;
  }

  /** Each once. */
  get all(): UserBuckets[] {
    const limits = [this.general, ...this.#byRole.map(([, limit]) => limit)];
    return [...new Set(limits.flatMap(({ messages, bytes, ephemeral }) => [messages, bytes, ephemeral]))];
  }
}

const generalBuckets = (policy: LeasedPolicy, create: CreateBuckets): UserBuckets => ({
  policy,
  limiter: create(policy, policy.name),
  name: policy.name,
  subjectOf: (userId) => userId,
});

function roleBuckets(role: string, policy: LeasedPolicy, create: CreateBuckets): UserBuckets {
  const name = `${policy.name}-of-role`;
  // Neither contains a line break.
  return { policy, limiter: create(policy, name), name, role, subjectOf: (userId) => `${role}\n${userId}` };
}
