import type { WhenStoreIsAway } from "./absence.ts";
import { micro } from "./decision.ts";
import type { WindowRule } from "./fixed-window.ts";
import type { PatienceRule } from "./patience.ts";
import type { TokenBucketRule } from "./token-bucket.ts";

/** Which limit holds for which act. What is left out has its default. */
export interface ThrottlingOptions {
  /** Client events, per user over all nodes. @default 50 tokens, 20 a second */
  readonly messages?: MessageLimit | undefined;
  /** Bytes of client events over 1 kB, per user over all nodes. @default 2 MiB, 128 KiB a second */
  readonly bytes?: LeasedLimit | undefined;
  /** Largest client event, twice which the bucket of bytes holds at least. @default 0 */
  readonly payloadBytes?: number | undefined;
  /** Handshakes, per address (v6: per /64). @default 500 tokens, 100 a second */
  readonly handshakes?: LeasedLimit | undefined;
  /** HTTP calls, per API key, in any window. @default 60,000 in 60 seconds */
  readonly http?: WindowLimit | undefined;
  /** Logins, per address and user, in a window that opens with the first. @default 5 in 15 minutes */
  readonly logins?: WindowLimit | undefined;
  /** Publications, per channel, by kind of channel. @default none */
  readonly publications?: Readonly<Record<string, BucketLimit>> | undefined;
}

/** What every limit may say beside its rule. */
export interface LimitBehaviour {
  /** Counts and reports what it would refuse, and refuses nothing. @default false */
  readonly shadow?: boolean | undefined;
  /**
   * While the store is away: `open` lets everything pass, `closed` nothing, `local` counts in each node by itself.
   * @default `local`; logins: `closed`. A password that may be guessed without a count is worse than a login that must
   * wait; a message or a call that each node slows by itself still cannot flood it.
   */
  readonly whenStoreIsAway?: WhenStoreIsAway | undefined;
}

export interface BucketLimit extends TokenBucketRule, LimitBehaviour {}
export interface WindowLimit extends WindowRule, LimitBehaviour {}

export interface LeasedLimit extends BucketLimit {
  readonly portion?: Portion | undefined;
}

export interface MessageLimit extends LeasedLimit {
  /** Tokens by client event; one that is not named costs 1. @default 5 for `history` */
  readonly costs?: Readonly<Record<string, number | undefined>> | undefined;
  /** A connection that is refused more often than this is to be closed. @default 100 in 10 seconds */
  readonly closeAfter?: PatienceRule | undefined;
}

/** How a node leases tokens ahead of need. */
export interface Portion {
  /** Largest share of what is left that a node may lease beyond its need; 0 asks the store for each act. @default 0.25 */
  readonly share?: number | undefined;
  /** How long a node may hold what it does not use while its user stays connected. @default 10000 */
  readonly lifeMs?: number | undefined;
}

/** Names of limiters as metrics and keys write them: a closed set. */
export type LimiterName = "messages" | "bytes" | "handshakes" | "http" | "logins" | "publications";

/** A limit with nothing left open. */
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
  readonly handshakes: LeasedPolicy;
  readonly http: Policy<WindowRule>;
  readonly logins: Policy<WindowRule>;
  readonly publications: ReadonlyMap<string, Policy<TokenBucketRule>>;
  /** Millionths of tokens by client event. */
  readonly costs: ReadonlyMap<string, number>;
  readonly closeAfter: PatienceRule;
}

const defaults = {
  messages: { capacity: 50, refillPerSecond: 20 },
  bytes: { capacity: 2_097_152, refillPerSecond: 131_072 },
  costs: { history: 5 },
  closeAfter: { refusals: 100, windowSeconds: 10 },
  handshakes: { capacity: 500, refillPerSecond: 100 },
  portion: { share: 0.25, lifeMs: 10_000 },
  http: { requests: 60_000, windowSeconds: 60 },
  logins: { requests: 5, windowSeconds: 900, whenStoreIsAway: "closed" },
} satisfies { logins: WindowLimit } & Record<string, object>;

export function policiesOf(options: ThrottlingOptions): Policies {
  const messages: MessageLimit = options.messages ?? defaults.messages;
  const bytes: LeasedLimit = options.bytes ?? defaults.bytes;
  const logins: WindowLimit = { ...defaults.logins, ...options.logins };
  const costs = Object.entries(messages.costs ?? defaults.costs);
  const publications = Object.entries(options.publications ?? {});
  return {
    messages: leasedPolicy("messages", messages),
    // A full bucket lets the largest event through, whatever is configured.
    bytes: leasedPolicy("bytes", { ...bytes, capacity: Math.max(bytes.capacity, 2 * (options.payloadBytes ?? 0)) }),
    handshakes: leasedPolicy("handshakes", options.handshakes ?? defaults.handshakes),
    http: policy("http", options.http ?? defaults.http),
    logins: policy("logins", logins),
    publications: new Map(publications.map(([kind, limit]) => [kind, policy("publications", limit)])),
    costs: new Map(costs.map(([event, cost = 1]) => [event, Math.round(cost * micro)])),
    closeAfter: messages.closeAfter ?? defaults.closeAfter,
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
  share: limit.portion?.share ?? defaults.portion.share,
  life: (limit.portion?.lifeMs ?? defaults.portion.lifeMs) * 1_000,
});
