import { randomBytes } from "node:crypto";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { createAbsence, type Absence } from "./absence.ts";
import type { Account } from "./account.ts";
import { BoundedMap } from "./bounded-map.ts";
import { micro, uncounted, type Decision } from "./decision.ts";
import { createLeaseStore } from "./lease-store.ts";
import { LeasedBuckets } from "./leased-buckets.ts";
import {
  createBucketLimiter,
  createLimiter,
  fixedWindow,
  slidingWindow,
  type Limiter,
  type RefundingLimiter,
} from "./limiter.ts";
import { calm, isTooMuch, type Annoyance } from "./patience.ts";
import { policiesOf, type LeasedPolicy, type Policies, type ThrottlingOptions } from "./policies.ts";
import { createReferee, type Referee, type RefusalMetrics } from "./referee.ts";

/** A decision on a client's message. */
export interface MessageDecision extends Decision {
  /** True where the connection was refused so often that it is to be closed with `rate_limited`. */
  readonly close?: boolean;
  /** Set where it is not `messages` that refused. */
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
interface Sender extends Annoyance {
  readonly userId: string;
  account: Account;
  /** Of bytes; undefined before its first large event. */
  bytes: Account | undefined;
}

/** Events up to this size are bounded by their number alone; most users have no account of bytes. */
const freeBytes = 1_024;

/** Subjects of one limiter that a node keeps in memory; where there are more, the oldest are counted in the store alone. */
const subjectsInMemory = 100_000;

const sweepEveryMs = 200;
const reportEveryMs = 10_000;

export function createThrottling(dependencies: ThrottlingDependencies, options: ThrottlingOptions = {}): Throttling {
  return new Throttling(dependencies, policiesOf(options));
}

/**
 * Who may do how much. Each method answers for one act; where it needs no store the answer is there at once. A user's
 * messages are decided in the order they came, those of cost 0 and those over 1 kB aside.
 */
export class Throttling {
  readonly name = "throttling";
  readonly #clock: Clock;
  readonly #policies: Policies;
  readonly #referee: Referee;
  readonly #users: LeasedBuckets;
  readonly #bytes: LeasedBuckets;
  readonly #addresses: LeasedBuckets;
  readonly #apiKeys: Limiter;
  readonly #logins: Limiter;
  readonly #channels: ReadonlyMap<string, RefundingLimiter>;
  readonly #senders = new BoundedMap<string, Sender>(subjectsInMemory);
  #isSweeping = false;
  #cancelSweep: Cancel | undefined;
  #cancelReports: Cancel | undefined;

  constructor(dependencies: ThrottlingDependencies, policies: Policies) {
    const { clock } = dependencies;
    const store = { ...dependencies, absence: createAbsence(dependencies), holder: randomBytes(6).toString("hex") };
    this.#clock = clock;
    this.#policies = policies;
    this.#referee = createReferee(dependencies);
    this.#users = leasedBuckets(store, policies.messages);
    this.#bytes = leasedBuckets(store, policies.bytes);
    this.#addresses = leasedBuckets(store, policies.handshakes);
    this.#apiKeys = createLimiter(store, slidingWindow, policies.http);
    this.#logins = createLimiter(store, fixedWindow, policies.logins);
    this.#channels = new Map(
      [...policies.publications].map(([kind, policy]) => [kind, createBucketLimiter(store, policy)]),
    );
  }

  start(): void {
    this.#isSweeping = true;
    this.#sweepSoon();
    this.#cancelReports = this.#clock.every(reportEveryMs, () => this.#referee.report());
  }

  /** Gives back what this node leased. Acts that still come are decided by this node alone. */
  async stop(): Promise<void> {
    this.#isSweeping = false;
    this.#cancelSweep?.();
    this.#cancelReports?.();
    await Promise.all(this.#leased.map((buckets) => buckets.stop()));
  }

  /** `connectionKey` names the connection on this node, as for `forget`. `bytes` is the size of the event. */
  message(connectionKey: string, userId: string, event: string, bytes = 0): MessageDecision | Promise<MessageDecision> {
    const cost = this.#policies.costs.get(event) ?? micro;
    if (cost === 0 && bytes <= freeBytes) return this.#free();
    const sender = this.#senderOf(connectionKey, userId);
    if (bytes <= freeBytes) return this.#takeMessage(sender, cost);
    const decision = this.#takeBytes(sender, bytes);
    const goOn = (judged: MessageDecision) => (judged.allowed ? this.#takeMessage(sender, cost) : judged);
    return decision instanceof Promise ? decision.then(goOn) : goOn(decision);
  }

  /** `address` in one form per client: v4 out of its v6 mapping, v6 cut to its /64. */
  handshake(address: string): Decision | Promise<Decision> {
    const decision = this.#addresses.take(this.#accountIn(this.#addresses, address), micro);
    return judged(decision, (late) => this.#referee.judge(this.#policies.handshakes, address, late));
  }

  async http(apiKeyName: string): Promise<Decision> {
    return this.#referee.judge(this.#policies.http, apiKeyName, await this.#apiKeys.take(apiKeyName));
  }

  async login(address: string, user: string): Promise<Decision> {
    const subject = `${address} ${user}`;
    return this.#referee.judge(this.#policies.logins, subject, await this.#logins.take(subject));
  }

  /** Allowed at once where the kind has no limit. */
  publication(kind: string, channel: string): Decision | Promise<Decision> {
    const policy = this.#policies.publications.get(kind);
    const limiter = this.#channels.get(kind);
    if (policy === undefined || limiter === undefined) return uncounted(this.#clock.now(), Infinity);
    return judged(limiter.take(channel), (decision) => this.#referee.judge(policy, channel, decision));
  }

  /** What was allowed turned out to be a repeat, which costs nothing. */
  giveBackPublication(kind: string, channel: string): void {
    void this.#channels.get(kind)?.giveBack(channel);
  }

  /** The connection has ended: what its user did not use goes back. */
  forget(connectionKey: string): void {
    const sender = this.#senders.get(connectionKey);
    if (sender === undefined) return;
    this.#senders.delete(connectionKey);
    this.#users.leave(sender.account);
    if (sender.bytes !== undefined) this.#bytes.leave(sender.bytes);
  }

  get #leased(): LeasedBuckets[] {
    return [this.#users, this.#bytes, this.#addresses];
  }

  #senderOf(connectionKey: string, userId: string): Sender {
    const known = this.#senders.get(connectionKey);
    if (known === undefined) {
      const sender = { ...calm(), userId, account: this.#accountIn(this.#users, userId), bytes: undefined };
      this.#senders.set(connectionKey, sender);
      return sender;
    }
    if (!known.account.isKept) known.account = this.#accountIn(this.#users, userId);
    return known;
  }

  #accountIn(buckets: LeasedBuckets, subject: string): Account {
    this.#sweepSoon();
    return buckets.account(subject);
  }

  /** Nothing wakes a node that has no accounts. */
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

  #free(): Decision {
    return uncounted(this.#clock.now(), this.#policies.messages.rule.capacity);
  }

  #takeMessage(sender: Sender, cost: number): MessageDecision | Promise<MessageDecision> {
    if (cost === 0) return this.#free();
    const { messages } = this.#policies;
    return judged(this.#users.take(sender.account, cost), (decision) => this.#judgeMessage(messages, sender, decision));
  }

  #takeBytes(sender: Sender, bytes: number): MessageDecision | Promise<MessageDecision> {
    if (sender.bytes?.isKept !== true) sender.bytes = this.#accountIn(this.#bytes, sender.userId);
    return judged(this.#bytes.take(sender.bytes, bytes * micro), (decision) => {
      const verdict = this.#judgeMessage(this.#policies.bytes, sender, decision);
      return verdict.allowed ? verdict : { ...verdict, limiter: "bytes" };
    });
  }

  #judgeMessage(policy: LeasedPolicy, sender: Sender, decision: Decision): MessageDecision {
    const verdict = this.#referee.judge(policy, sender.userId, decision);
    if (verdict.allowed || !isTooMuch(this.#policies.closeAfter, sender, this.#clock.monotonic())) return verdict;
    return { ...verdict, close: true };
  }
}

interface Store extends ThrottlingDependencies {
  absence: Absence;
  holder: string;
}

function leasedBuckets(store: Store, policy: LeasedPolicy): LeasedBuckets {
  return new LeasedBuckets(
    { store: createLeaseStore(store, policy.name, policy), clock: store.clock, absence: store.absence },
    { ...policy, maxAccounts: subjectsInMemory },
  );
}

/** Stays synchronous where the decision is. */
function judged<D extends Decision>(
  decision: Decision | Promise<Decision>,
  judge: (decision: Decision) => D,
): D | Promise<D> {
  return decision instanceof Promise ? decision.then(judge) : judge(decision);
}
