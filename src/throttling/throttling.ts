import { randomBytes } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createCircuitBreaker, type CircuitBreaker } from "../redis/circuit-breaker.ts";
import type { LeasedBucket } from "./leased-bucket.ts";
import { BoundedMap } from "../runtime/bounded-map.ts";
import { micro, unlimitedResult, type RateLimitResult } from "./rate-limit-result.ts";
import { createLeaseStore } from "./lease-store.ts";
import { LeasedBucketLimiter } from "./leased-bucket-limiter.ts";
import {
  createBucketLimiter,
  createLimiter,
  fixedWindow,
  slidingWindow,
  tokenBucket,
  type Limiter,
  type RefundingLimiter,
} from "./limiter.ts";
import { noViolations, countViolation, type ViolationCounter } from "./abuse-threshold.ts";
import {
  ephemeralEvent,
  otherEvents,
  policiesOf,
  type CustomLimit,
  type LeasedPolicy,
  type Policies,
  type Policy,
  type SessionCreationLimits,
  type ThrottlingOptions,
} from "./policies.ts";
import type { WindowRule } from "./fixed-window.ts";
import { customLimiterName, LimiterCounts, loginSubject, sessionLimiterName } from "./limiter-counts.ts";
import { UserLimits, type LimitedUser, type UserBuckets, type UserLimit } from "./user-limits.ts";
import { createEnforcement, type Enforcement, type RefusalMetrics } from "./enforcement.ts";

/** The result for a client's message. */
export interface MessageLimitResult extends RateLimitResult {
  /** True if the connection was refused so often that it must be closed with `rate_limited`. */
  readonly close?: boolean;
  /** Set if a limiter other than `messages` refused. */
  readonly limiter?: "bytes" | "ephemeral";
}

export interface ThrottlingDependencies {
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
  log: Logger;
  metrics: RefusalMetrics;
}

/** A connection that has sent something. */
interface Sender extends ViolationCounter {
  readonly userId: string;
  roles: readonly string[] | undefined;
  limit: UserLimit;
  bucket: LeasedBucket;
  /** The user's bucket of bytes; undefined before its first large event. */
  bytes: LeasedBucket | undefined;
  /** The same for changes of state and ephemeral publications. */
  ephemeral: LeasedBucket | undefined;
}

/** Events up to this size are limited by number alone, so most users need no bucket of bytes. */
const uncountedBytes = 1_024;

/** A change of state or an ephemeral publication counts as so many bytes at least, because its handling costs too. */
const minEphemeralBytes = 256;

/** Max subjects of one limiter in a node's memory; beyond it, the oldest are counted in Redis alone. */
const maxSubjects = 100_000;

const sweepEveryMs = 200;
const reportEveryMs = 10_000;

export function createThrottling(dependencies: ThrottlingDependencies, options: ThrottlingOptions = {}): Throttling {
  return new Throttling(dependencies, policiesOf(options), options.custom);
}

/**
 * All rate limits of a node. Each method checks one operation, and is synchronous if it needs no round trip. A user's
 * messages are checked in order of arrival, except those of cost 0 and those over 1 kB.
 */
export class Throttling {
  readonly name = "throttling";
  /** What has been counted of users and addresses. */
  readonly counts: LimiterCounts;
  readonly #clock: Clock;
  readonly #policies: Policies;
  readonly #enforcement: Enforcement;
  readonly #users: UserLimits;
  readonly #addresses: LeasedBucketLimiter;
  readonly #apiKeys: Limiter;
  readonly #logins: Limiter;
  readonly #sessions: readonly SessionLimiter[];
  readonly #channels: ReadonlyMap<string, RefundingLimiter>;
  readonly #custom: ReadonlyMap<string, CustomLimiter>;
  readonly #senders = new BoundedMap<string, Sender>(maxSubjects);
  #isSweeping = false;
  #cancelSweep: Cancel | undefined;
  #cancelReports: Cancel | undefined;

  constructor(
    dependencies: ThrottlingDependencies,
    policies: Policies,
    custom: Readonly<Record<string, CustomLimit>> = {},
  ) {
    const { clock } = dependencies;
    const store = {
      ...dependencies,
      breaker: createCircuitBreaker(dependencies),
      holder: randomBytes(6).toString("hex"),
    };
    this.#clock = clock;
    this.#policies = policies;
    this.#enforcement = createEnforcement(dependencies);
    this.#users = new UserLimits(policies, (policy, name) => leasedBuckets(store, policy, name));
    this.#addresses = leasedBuckets(store, policies.handshakes, policies.handshakes.name);
    this.#apiKeys = createLimiter(store, slidingWindow, policies.http);
    this.#logins = createLimiter(store, fixedWindow, policies.logins);
    this.#sessions = sessionLimiters(store, policies.sessions);
    this.#channels = new Map(
      [...policies.publications].map(([kind, policy]) => [kind, createBucketLimiter(store, policy)]),
    );
    this.#custom = new Map(
      Object.entries(custom).map(([name, limit]) => [name, createCustomLimiter(store, name, limit)]),
    );
    const limiters = { users: this.#users, addresses: this.#addresses, logins: this.#logins };
    this.counts = new LimiterCounts(dependencies, { ...limiters, sessions: this.#sessions, custom: this.#custom });
  }

  start(): void {
    this.#isSweeping = true;
    this.#sweepSoon();
    this.#cancelReports = this.#clock.every(reportEveryMs, () => this.#enforcement.report());
  }

  /** Releases this node's leases. Later operations are limited by this node alone. */
  async stop(): Promise<void> {
    this.#isSweeping = false;
    this.#cancelSweep?.();
    this.#cancelReports?.();
    await Promise.all(this.#leased.map((buckets) => buckets.stop()));
  }

  /** `connectionKey` identifies the connection on this node, as for `forget`. `bytes` is the size of the event. */
  message(
    connectionKey: string,
    user: LimitedUser,
    event: string,
    bytes = 0,
  ): MessageLimitResult | Promise<MessageLimitResult> {
    if (event === ephemeralEvent)
      return this.#takeEphemeral(this.#senderOf(connectionKey, user), Math.max(bytes, minEphemeralBytes));
    const { costs } = this.#policies;
    const cost = costs.get(event) ?? costs.get(otherEvents) ?? micro;
    if (cost === 0 && bytes <= uncountedBytes) return this.#free();
    const sender = this.#senderOf(connectionKey, user);
    if (bytes <= uncountedBytes) return this.#takeMessage(sender, cost);
    const result = this.#takeBytes(sender, bytes);
    const takeMessage = (bytesResult: MessageLimitResult) =>
      bytesResult.allowed ? this.#takeMessage(sender, cost) : bytesResult;
    return result instanceof Promise ? result.then(takeMessage) : takeMessage(result);
  }

  /** `address` as returned by `addressGroup`. */
  handshake(address: string): RateLimitResult | Promise<RateLimitResult> {
    const result = this.#addresses.take(this.#bucketIn(this.#addresses, address), micro);
    return mapResult(result, (taken) => this.#enforcement.enforce(this.#policies.handshakes, address, taken));
  }

  async http(apiKeyName: string): Promise<RateLimitResult> {
    return this.#enforcement.enforce(this.#policies.http, apiKeyName, await this.#apiKeys.take(apiKeyName));
  }

  async login(address: string, user: string): Promise<RateLimitResult> {
    const subject = loginSubject(address, user);
    return this.#enforcement.enforce(this.#policies.logins, subject, await this.#logins.take(subject));
  }

  /** A backend creates a session. The address, if it names one, counts also if the user is refused. */
  async session(userId: string, address: string | undefined): Promise<RateLimitResult> {
    const subjects = { perUser: userId, perAddress: address };
    for (const { per, policy, limiter } of this.#sessions) {
      const subject = subjects[per];
      if (subject === undefined) continue;
      const result = this.#enforcement.enforce(policy, subject, await limiter.take(subject));
      if (!result.allowed) return result;
    }
    return this.#free();
  }

  /** Synchronous if the kind has no limit. */
  publication(kind: string, channel: string): RateLimitResult | Promise<RateLimitResult> {
    const policy = this.#policies.publications.get(kind);
    const limiter = this.#channels.get(kind);
    if (policy === undefined || limiter === undefined) return unlimitedResult(this.#clock.now(), Infinity);
    return mapResult(limiter.take(channel), (result) => this.#enforcement.enforce(policy, channel, result));
  }

  /** A limit that backends use for their own purposes. Undefined if none of this name is configured. */
  async custom(name: string, key: string, cost = 1): Promise<(RateLimitResult & { limit: number }) | undefined> {
    const custom = this.#custom.get(name);
    if (custom === undefined) return undefined;
    const result = await custom.limiter.take(key, cost);
    return { ...this.#enforcement.enforce(custom.policy, `${name} ${key}`, result), limit: custom.limit };
  }

  /** Call if an allowed publication turned out to be a duplicate, which costs nothing. */
  refundPublication(kind: string, channel: string): void {
    void this.#channels.get(kind)?.refund(channel);
  }

  /** Call when the connection has ended: its user's unused lease is released. */
  forget(connectionKey: string): void {
    const sender = this.#senders.get(connectionKey);
    if (sender === undefined) return;
    this.#senders.delete(connectionKey);
    releaseBuckets(sender);
  }

  get #leased(): LeasedBucketLimiter[] {
    return [...this.#users.all.map(({ limiter }) => limiter), this.#addresses];
  }

  #senderOf(connectionKey: string, { userId, roles }: LimitedUser): Sender {
    const known = this.#senders.get(connectionKey);
    if (known === undefined) {
      const limit = this.#users.of(roles);
      const bucket = this.#bucketOf(limit.messages, userId);
      const sender = { ...noViolations(), userId, roles, limit, bucket, bytes: undefined, ephemeral: undefined };
      this.#senders.set(connectionKey, sender);
      return sender;
    }
    if (known.roles !== roles) this.#rolesChanged(known, roles);
    if (!known.bucket.isCached) known.bucket = this.#bucketOf(known.limit.messages, userId);
    return known;
  }

  #rolesChanged(sender: Sender, roles: readonly string[] | undefined): void {
    const limit = this.#users.of(roles);
    sender.roles = roles;
    if (limit === sender.limit) return;
    releaseBuckets(sender);
    sender.limit = limit;
    sender.bucket = this.#bucketOf(limit.messages, sender.userId);
    sender.bytes = undefined;
    sender.ephemeral = undefined;
  }

  #bucketOf({ limiter, subjectOf }: UserBuckets, userId: string): LeasedBucket {
    return this.#bucketIn(limiter, subjectOf(userId));
  }

  #bucketIn(buckets: LeasedBucketLimiter, subject: string): LeasedBucket {
    this.#sweepSoon();
    return buckets.bucket(subject);
  }

  /** No timer runs while there are no buckets. */
  #sweepSoon(): void {
    if (this.#isSweeping) this.#cancelSweep ??= this.#clock.after(sweepEveryMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    for (const buckets of this.#leased) {
      buckets.sweep();
      if (buckets.size > 0) this.#sweepSoon();
    }
  }

  #free(): RateLimitResult {
    return unlimitedResult(this.#clock.now(), this.#policies.messages.rule.capacity);
  }

  #takeMessage(sender: Sender, cost: number): MessageLimitResult | Promise<MessageLimitResult> {
    if (cost === 0) return this.#free();
    const { policy, limiter } = sender.limit.messages;
    return mapResult(limiter.take(sender.bucket, cost), (result) => this.#enforceMessage(policy, sender, result));
  }

  #takeBytes(sender: Sender, bytes: number): MessageLimitResult | Promise<MessageLimitResult> {
    const { policy, limiter } = sender.limit.bytes;
    if (sender.bytes?.isCached !== true) sender.bytes = this.#bucketOf(sender.limit.bytes, sender.userId);
    return mapResult(limiter.take(sender.bytes, bytes * micro), (result) => {
      const enforced = this.#enforceMessage(policy, sender, result);
      return enforced.allowed ? enforced : { ...enforced, limiter: "bytes" };
    });
  }

  #takeEphemeral(sender: Sender, bytes: number): MessageLimitResult | Promise<MessageLimitResult> {
    const { policy, limiter } = sender.limit.ephemeral;
    if (sender.ephemeral?.isCached !== true) sender.ephemeral = this.#bucketOf(sender.limit.ephemeral, sender.userId);
    return mapResult(limiter.take(sender.ephemeral, bytes * micro), (result) => {
      const enforced = this.#enforceMessage(policy, sender, result);
      return enforced.allowed ? enforced : { ...enforced, limiter: "ephemeral" };
    });
  }

  #enforceMessage(policy: LeasedPolicy, sender: Sender, result: RateLimitResult): MessageLimitResult {
    const enforced = this.#enforcement.enforce(policy, sender.userId, result);
    if (enforced.allowed || !countViolation(this.#policies.closeAfter, sender, this.#clock.monotonic()))
      return enforced;
    return { ...enforced, close: true };
  }
}

function releaseBuckets({ limit, bucket, bytes, ephemeral }: Sender): void {
  limit.messages.limiter.release(bucket);
  if (bytes !== undefined) limit.bytes.limiter.release(bytes);
  if (ephemeral !== undefined) limit.ephemeral.limiter.release(ephemeral);
}

interface SessionLimiter {
  per: keyof SessionCreationLimits;
  policy: Policy<WindowRule>;
  limiter: Limiter;
}

/** Addresses first: a user must not be locked out by an address that has used up its own limit. */
function sessionLimiters(store: LimiterStore, policies: Policies["sessions"]): SessionLimiter[] {
  return (["perAddress", "perUser"] as const).flatMap((per) => {
    const policy = policies[per];
    if (policy === undefined) return [];
    return [{ per, policy, limiter: createLimiter(store, fixedWindow, { ...policy, name: sessionLimiterName(per) }) }];
  });
}

interface CustomLimiter {
  policy: { name: "custom"; shadow: boolean };
  limiter: Limiter;
  limit: number;
}

function createCustomLimiter(store: LimiterStore, name: string, limit: CustomLimit): CustomLimiter {
  const { shadow = false, whenStoreIsAway = "local" } = limit;
  const options = { name: customLimiterName(name), whenStoreIsAway };
  const policy = { name: "custom", shadow } as const;
  if ("capacity" in limit) {
    const limiter = createLimiter(store, tokenBucket, { ...options, rule: limit });
    return { policy, limiter, limit: limit.capacity };
  }
  return { policy, limiter: createLimiter(store, slidingWindow, { ...options, rule: limit }), limit: limit.requests };
}

interface LimiterStore extends ThrottlingDependencies {
  breaker: CircuitBreaker;
  holder: string;
}

function leasedBuckets(store: LimiterStore, policy: LeasedPolicy, name: string): LeasedBucketLimiter {
  return new LeasedBucketLimiter(
    { store: createLeaseStore(store, name, policy), clock: store.clock, breaker: store.breaker },
    { ...policy, maxBuckets: maxSubjects },
  );
}

/** Synchronous if `result` is. */
function mapResult<D extends RateLimitResult>(
  result: RateLimitResult | Promise<RateLimitResult>,
  map: (result: RateLimitResult) => D,
): D | Promise<D> {
  return result instanceof Promise ? result.then(map) : map(result);
}
