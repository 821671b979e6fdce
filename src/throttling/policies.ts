import type { WhenStoreIsAway } from "./rate-limit-result.ts";
import { micro } from "./rate-limit-result.ts";
import type { WindowRule } from "./fixed-window.ts";
import type { AbuseThreshold } from "./abuse-threshold.ts";
import type { TokenBucketRule } from "./token-bucket.ts";

/** The limits of a node. Omitted ones have their limitDefaults. */
export interface ThrottlingOptions {
  /** Client events, per user over all nodes. @default 50 tokens, 20 a second */
  readonly messages?: MessageLimit | undefined;
  /** Bytes of client events over 1 kB, per user over all nodes. @default 2 MiB, 128 KiB a second */
  readonly bytes?: LeasedLimit | undefined;
  /** Bytes of changes of state and ephemeral publications, per user over all nodes. @default 128 KiB, 32 KiB a second */
  readonly ephemeral?: LeasedLimit | undefined;
  /** Max size of a client event; the bucket of bytes holds at least two of them. @default 0 */
  readonly payloadBytes?: number | undefined;
  /**
   * Messages and bytes of users by role: the first that a user has, in this order, applies instead of the general ones.
   * @default none
   */
  readonly roles?: Readonly<Record<string, RoleLimits>> | undefined;
  /** Sessions that backends create, in a window that opens with the first. @default none */
  readonly sessions?: SessionCreationLimits | undefined;
  /** Handshakes, per address (v6: per /64). @default 500 tokens, 100 a second */
  readonly handshakes?: LeasedLimit | undefined;
  /** HTTP calls, per API key, in any window. @default 60,000 in 60 seconds */
  readonly http?: WindowLimit | undefined;
  /** Logins, per address and user, in a window that opens with the first. @default 5 in 15 minutes */
  readonly logins?: WindowLimit | undefined;
  /** Limits for backends' own use, by name. @default none */
  readonly custom?: Readonly<Record<string, CustomLimit>> | undefined;
  /** Publications, per channel, by kind of channel. @default none */
  readonly publications?: Readonly<Record<string, BucketLimit>> | undefined;
}

/** Options of every limit beside its rule. */
export interface LimitBehaviour {
  /** Counts and reports what it would refuse, but refuses nothing. @default false */
  readonly shadow?: boolean | undefined;
  /**
   * While Redis is unreachable: `open` allows everything, `closed` nothing, `local` counts on each node separately.
   * @default `local`; logins: `closed`, because guessing passwords without a limit is worse than delayed logins, while
   * messages and calls cannot flood a node that limits them by itself.
   */
  readonly whenStoreIsAway?: WhenStoreIsAway | undefined;
}

export interface BucketLimit extends TokenBucketRule, LimitBehaviour {}
export interface WindowLimit extends WindowRule, LimitBehaviour {}

/** A token bucket, or a sliding window. */
export type CustomLimit = BucketLimit | WindowLimit;

export interface LeasedLimit extends BucketLimit {
  readonly portion?: LeaseTuning | undefined;
}

export interface RoleLimits {
  readonly messages?: LeasedLimit | undefined;
  readonly bytes?: LeasedLimit | undefined;
}

export interface SessionCreationLimits {
  readonly perUser?: WindowLimit | undefined;
  /** Of the address that the backend names (v6: per /64). */
  readonly perAddress?: WindowLimit | undefined;
}

export interface MessageLimit extends LeasedLimit {
  /** Tokens by client event; `*` is for all others, which cost 1 without it. @default 5 for `history` */
  readonly costs?: Readonly<Record<string, number | undefined>> | undefined;
  /** A connection refused more often than this is closed. @default 100 in 10 seconds */
  readonly closeAfter?: AbuseThreshold | undefined;
}

/** How a node leases tokens in advance. */
export interface LeaseTuning {
  /** Max share of the remaining tokens that a node may lease in advance; 0 asks Redis for each operation. @default 0.25 */
  readonly share?: number | undefined;
  /** How long a node may hold unused tokens while their user stays connected. @default 10000 */
  readonly lifeMs?: number | undefined;
}

/** Names of limiters in metrics and keys: a closed set. */
export type LimiterName =
  "messages" | "bytes" | "ephemeral" | "handshakes" | "http" | "logins" | "sessions" | "publications" | "custom";

/** A limit with defaults applied. */
export interface Policy<Rule> {
  readonly name: LimiterName;
  readonly rule: Rule;
  readonly shadow: boolean;
  readonly whenStoreIsAway: WhenStoreIsAway;
}

export interface LeasedPolicy extends Policy<TokenBucketRule> {
  readonly share: number;
  /** Microseconds. */
  readonly life: number;
}

export interface Policies {
  readonly messages: LeasedPolicy;
  readonly bytes: LeasedPolicy;
  readonly ephemeral: LeasedPolicy;
  readonly handshakes: LeasedPolicy;
  readonly http: Policy<WindowRule>;
  readonly logins: Policy<WindowRule>;
  readonly sessions: Partial<Record<keyof SessionCreationLimits, Policy<WindowRule>>>;
  /** In the order in which they are tried. */
  readonly roles: ReadonlyMap<string, Partial<Record<"messages" | "bytes", LeasedPolicy>>>;
  readonly publications: ReadonlyMap<string, Policy<TokenBucketRule>>;
  /** Millionths of tokens by client event. */
  readonly costs: ReadonlyMap<string, number>;
  readonly closeAfter: AbuseThreshold;
}

export const limitDefaults = {
  messages: { capacity: 50, refillPerSecond: 20 },
  bytes: { capacity: 2_097_152, refillPerSecond: 131_072 },
  ephemeral: { capacity: 131_072, refillPerSecond: 32_768 },
  costs: { publish: 1, subscribe: 1, history: 5 },
  closeAfter: { refusals: 100, windowSeconds: 10 },
  handshakes: { capacity: 500, refillPerSecond: 100 },
  portion: { share: 0.25, lifeMs: 10_000 },
  http: { requests: 60_000, windowSeconds: 60 },
  logins: { requests: 5, windowSeconds: 900, whenStoreIsAway: "closed" },
  publications: { capacity: 100, refillPerSecond: 100 },
} satisfies { logins: WindowLimit } & Record<string, object>;

/** Stands for changes of state and ephemeral publications, which have a bucket of their own. */
export const ephemeralEvent = "ephemeral";

/** Stands for the events without a cost of their own. */
export const otherEvents = "*";

export function policiesOf(options: ThrottlingOptions): Policies {
  const messages: MessageLimit = options.messages ?? limitDefaults.messages;
  const bytes: LeasedLimit = options.bytes ?? limitDefaults.bytes;
  const ephemeral: LeasedLimit = options.ephemeral ?? limitDefaults.ephemeral;
  const logins: WindowLimit = { ...limitDefaults.logins, ...options.logins };
  const costs = Object.entries(messages.costs ?? limitDefaults.costs);
  const publications = Object.entries(options.publications ?? {});
  // A full bucket allows the largest event, whatever is configured.
  const ofBytes = (name: "bytes" | "ephemeral", limit: LeasedLimit) =>
    leasedPolicy(name, { ...limit, capacity: Math.max(limit.capacity, 2 * (options.payloadBytes ?? 0)) });
  const roles = Object.entries(options.roles ?? {}).map(([role, limit]) => {
    const ofRole = {
      ...(limit.messages && { messages: leasedPolicy("messages", limit.messages) }),
      ...(limit.bytes && { bytes: ofBytes("bytes", limit.bytes) }),
    };
    return [role, ofRole] as const;
  });
  const { perUser, perAddress } = options.sessions ?? {};
  return {
    messages: leasedPolicy("messages", messages),
    bytes: ofBytes("bytes", bytes),
    ephemeral: ofBytes("ephemeral", ephemeral),
    roles: new Map(roles),
    sessions: {
      ...(perUser && { perUser: policy("sessions", perUser) }),
      ...(perAddress && { perAddress: policy("sessions", perAddress) }),
    },
    handshakes: leasedPolicy("handshakes", options.handshakes ?? limitDefaults.handshakes),
    http: policy("http", options.http ?? limitDefaults.http),
    logins: policy("logins", logins),
    publications: new Map(publications.map(([kind, limit]) => [kind, policy("publications", limit)])),
    costs: new Map(costs.map(([event, cost = 1]) => [event, Math.round(cost * micro)])),
    closeAfter: messages.closeAfter ?? limitDefaults.closeAfter,
  };
}

const policy = <Rule extends object>(name: LimiterName, limit: Rule & LimitBehaviour): Policy<Rule> => ({
  name,
  rule: limit,
  shadow: limit.shadow ?? false,
  whenStoreIsAway: limit.whenStoreIsAway ?? "local",
});

const leasedPolicy = (name: LimiterName, limit: LeasedLimit): LeasedPolicy => ({
  ...policy(name, limit),
  share: limit.portion?.share ?? limitDefaults.portion.share,
  life: (limit.portion?.lifeMs ?? limitDefaults.portion.lifeMs) * 1_000,
});
