import { randomBytes } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createCircuitBreaker, type CircuitBreaker } from "../redis/circuit-breaker.ts";
import type { LeasedBucket } from "./leased-bucket.ts";
import { BoundedMap } from "./bounded-map.ts";
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
  otherEvents,
  policiesOf,
  type CustomLimit,
  type LeasedPolicy,
  type Policies,
  type ThrottlingOptions,
} from "./policies.ts";
import { createEnforcement, type Enforcement, type RefusalMetrics } from "./enforcement.ts";

/** The result for a client's message. */
export interface MessageLimitResult extends RateLimitResult {
  /** True if the connection was refused so often that it must be closed with `rate_limited`. */
  readonly close?: boolean;
  /** Set if a limiter other than `messages` refused. */
  readonly limiter?: "bytes";
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
  bucket: LeasedBucket;
  /** The user's bucket of bytes; undefined before its first large event. */
  bytes: LeasedBucket | undefined;
}

/** Events up to this size are limited by number alone, so most users need no bucket of bytes. */
const uncountedBytes = 1_024;

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
  readonly #dependencies: Pick<ThrottlingDependencies, "commands" | "keys">;
  readonly #clock: Clock;
  readonly #policies: Policies;
  readonly #enforcement: Enforcement;
  readonly #users: LeasedBucketLimiter;
  readonly #bytes: LeasedBucketLimiter;
  readonly #addresses: LeasedBucketLimiter;
  readonly #apiKeys: Limiter;
  readonly #logins: Limiter;
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
    this.#dependencies = dependencies;
    this.#clock = clock;
    this.#policies = policies;
    this.#enforcement = createEnforcement(dependencies);
    this.#users = leasedBuckets(store, policies.messages);
    this.#bytes = leasedBuckets(store, policies.bytes);
    this.#addresses = leasedBuckets(store, policies.handshakes);
    this.#apiKeys = createLimiter(store, slidingWindow, policies.http);
    this.#logins = createLimiter(store, fixedWindow, policies.logins);
    this.#channels = new Map(
      [...policies.publications].map(([kind, policy]) => [kind, createBucketLimiter(store, policy)]),
    );
    this.#custom = new Map(
      Object.entries(custom).map(([name, limit]) => [name, createCustomLimiter(store, name, limit)]),
    );
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
    userId: string,
    event: string,
    bytes = 0,
  ): MessageLimitResult | Promise<MessageLimitResult> {
    const { costs } = this.#policies;
    const cost = costs.get(event) ?? costs.get(otherEvents) ?? micro;
    if (cost === 0 && bytes <= uncountedBytes) return this.#free();
    const sender = this.#senderOf(connectionKey, userId);
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
    const subject = `${address} ${user}`;
    return this.#enforcement.enforce(this.#policies.logins, subject, await this.#logins.take(subject));
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

  /** Forgets what limiters have counted of a user; returns how many had. Nodes give back what they hold when it disconnects. */
  async eraseUser(userId: string): Promise<number> {
    const names = ["messages", "bytes", ...[...this.#custom.keys()].map((name) => `custom-${name}`)];
    const { commands, keys } = this.#dependencies;
    const removed = await Promise.all(names.map((name) => commands.unlink(keys.limiter(name, userId))));
    return removed.filter((count) => count > 0).length;
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
    this.#users.release(sender.bucket);
    if (sender.bytes !== undefined) this.#bytes.release(sender.bytes);
  }

  get #leased(): LeasedBucketLimiter[] {
    return [this.#users, this.#bytes, this.#addresses];
  }

  #senderOf(connectionKey: string, userId: string): Sender {
    const known = this.#senders.get(connectionKey);
    if (known === undefined) {
      const sender = { ...noViolations(), userId, bucket: this.#bucketIn(this.#users, userId), bytes: undefined };
      this.#senders.set(connectionKey, sender);
      return sender;
    }
    if (!known.bucket.isCached) known.bucket = this.#bucketIn(this.#users, userId);
    return known;
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
    const { messages } = this.#policies;
    return mapResult(this.#users.take(sender.bucket, cost), (result) => this.#enforceMessage(messages, sender, result));
  }

  #takeBytes(sender: Sender, bytes: number): MessageLimitResult | Promise<MessageLimitResult> {
    if (sender.bytes?.isCached !== true) sender.bytes = this.#bucketIn(this.#bytes, sender.userId);
    return mapResult(this.#bytes.take(sender.bytes, bytes * micro), (result) => {
      const enforced = this.#enforceMessage(this.#policies.bytes, sender, result);
      return enforced.allowed ? enforced : { ...enforced, limiter: "bytes" };
    });
  }

  #enforceMessage(policy: LeasedPolicy, sender: Sender, result: RateLimitResult): MessageLimitResult {
    const enforced = this.#enforcement.enforce(policy, sender.userId, result);
    if (enforced.allowed || !countViolation(this.#policies.closeAfter, sender, this.#clock.monotonic()))
      return enforced;
    return { ...enforced, close: true };
  }
}

interface CustomLimiter {
  policy: { name: "custom"; shadow: boolean };
  limiter: Limiter;
  limit: number;
}

function createCustomLimiter(store: LimiterStore, name: string, limit: CustomLimit): CustomLimiter {
  const { shadow = false, whenStoreIsAway = "local" } = limit;
  const options = { name: `custom-${name}`, whenStoreIsAway };
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

function leasedBuckets(store: LimiterStore, policy: LeasedPolicy): LeasedBucketLimiter {
  return new LeasedBucketLimiter(
    { store: createLeaseStore(store, policy.name, policy), clock: store.clock, breaker: store.breaker },
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
