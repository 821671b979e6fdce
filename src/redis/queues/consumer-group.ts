import { sleep, type Cancel, type Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/logger.ts";
import type { GroupEntry, GroupStore, ReadResult } from "./group-store.ts";
import { RenewableLeaderLease, type LeaderLease } from "../leader-lease.ts";

/**
 * Reads a stream as one consumer of its group, while it holds the leader lease.
 *
 * One node reads at a time; the others stand by and take over when its lease expires, or immediately when it stops. Entries
 * are processed in the stream's order, first those that an earlier leader left pending, so the handler can keep the order
 * per subject without asking other nodes. Processing is concurrent; an entry is acknowledged when it is done. Entries in
 * progress when a node dies are processed again, so their effects must be idempotent.
 *
 * A leader that is not preferred hands over to a consumer that is, once that one claims the lease.
 *
 * An entry that was pending in several crashes is a suspect: it is processed alone, and each attempt is counted in Redis
 * before it starts, so that an entry that crashes its consumer is identified by its `deliveries`.
 */
export interface ConsumerGroup {
  start(): void;
  /** Finishes the entries in progress, leaves the rest pending and releases the lease. */
  stop(): Promise<void>;
}

/** True if the entry is done; false leaves it to the next leader. */
export type HandleEntry = (entry: GroupEntry, lease: LeaderLease) => Promise<boolean>;

export interface ConsumerGroupOptions {
  leaseMs: number;
  /** Max entries read and not yet done. @default 1024 */
  maxInFlight?: number;
  suspectAfter: number;
}

export interface ConsumerGroupDeps {
  /** Whether this consumer is to lead, as far as it knows. */
  isPreferred: () => boolean;
  store: GroupStore;
  handle: HandleEntry;
  clock: Clock;
  log: Logger;
}

const maxBatchSize = 256;
/** Less capacity than this is not worth a round trip. */
const minBatchSize = 32;
/** Min milliseconds between two trims. */
const trimPauseMs = 1_000;
/** The same while nothing is acknowledged: another group may be done with entries, or another consumer gone. */
const idleTrimPauseMs = 5_000;

export function createConsumerGroup(deps: ConsumerGroupDeps, options: ConsumerGroupOptions): ConsumerGroup {
  return new Consumer(deps, { maxInFlight: 1_024, ...options });
}

class Consumer implements ConsumerGroup {
  readonly #deps: ConsumerGroupDeps;
  readonly #options: Required<ConsumerGroupOptions>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #leader: RenewableLeaderLease | undefined;
  /** Where to continue with pending entries; undefined if none are left. */
  #pendingFrom: string | undefined;
  #inFlight = 0;
  #onFinished: (() => void) | undefined;
  readonly #done: string[] = [];
  #acknowledging: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;
  #trimmedAt = -Infinity;
  /** Since the last trim. */
  #hasAcknowledged = false;
  #cancel: Cancel | undefined;
  /** Another consumer is to lead. */
  #isClaimed = false;

  constructor(deps: ConsumerGroupDeps, options: Required<ConsumerGroupOptions>) {
    this.#deps = deps;
    this.#options = options;
  }

  start(): void {
    if (this.#running !== undefined) return;
    const { clock } = this.#deps;
    this.#cancel = clock.every(this.#options.leaseMs / 4, () => this.#maintain());
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    if (this.#running === undefined) return;
    this.#stopping.abort();
    this.#leader?.end();
    await this.#running;
    await this.#resign();
    this.#cancel?.();
    await this.#acknowledging;
    // Also if this consumer does not know that it leads: the reply may be lost. If Redis is unreachable, the lease expires.
    await this.#deps.store.releaseLease().catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.#stopping.signal.aborted) {
      const pauseMs = await this.#round().catch((error: unknown) => {
        log.warn({ err: error }, "reading the commands stream failed; retrying");
        // What was read without a reply is pending: the leader starts over, or later entries would be processed before it.
        this.#leader?.end();
        return this.#standbyMs;
      });
      if (pauseMs > 0) await sleep(clock, pauseMs, this.#stopping.signal);
    }
  }

  get #standbyMs(): number {
    return this.#options.leaseMs / (this.#deps.isPreferred() ? 4 : 1);
  }

  /** Milliseconds until the next round. */
  async #round(): Promise<number> {
    if (this.#leader !== undefined && !this.#leader.isCurrent()) await this.#resign();
    if (this.#isClaimed) return this.#handOver();
    const { maxInFlight } = this.#options;
    const capacity = maxInFlight - this.#inFlight;
    if (capacity < Math.min(minBatchSize, Math.ceil(maxInFlight / 2))) return this.#waitForCapacity();
    const requestedAt = this.#deps.clock.monotonic();
    const result = await this.#read(Math.min(maxBatchSize, capacity));
    if (result.kind === "standby") {
      await this.#resign();
      return this.#standbyMs;
    }
    // If the lease may have expired meanwhile, the entries read are pending by now and are read again in order.
    if (result.kind === "acquired" || this.#leader?.isCurrent() !== true) return this.#becomeLeader(requestedAt);
    this.#leader.extend(requestedAt + this.#options.leaseMs);
    await this.#processAll(result.entries, this.#leader);
    return this.#continue(result);
  }

  #read(max: number): Promise<ReadResult> {
    const { store } = this.#deps;
    return this.#pendingFrom === undefined ? store.readNew(max) : store.readPending(max, this.#pendingFrom);
  }

  /** Starts with pending entries: those of other consumers, and this one's from an earlier term. */
  async #becomeLeader(requestedAt: number): Promise<number> {
    await this.#resign();
    this.#leader = new RenewableLeaderLease(this.#deps.clock, requestedAt + this.#options.leaseMs);
    this.#pendingFrom = "-";
    return 0;
  }

  /** Resolves when no entry is in progress any more. */
  async #resign(): Promise<void> {
    this.#leader?.end();
    this.#leader = undefined;
    while (this.#inFlight > 0) await this.#nextFinished();
  }

  async #handOver(): Promise<number> {
    this.#isClaimed = false;
    await this.#acknowledging;
    await this.#deps.store.releaseLease();
    return this.#options.leaseMs;
  }

  async #processAll(entries: readonly GroupEntry[], lease: RenewableLeaderLease): Promise<void> {
    for (const entry of entries) {
      if (this.#pendingFrom === undefined || entry.deliveries < this.#options.suspectAfter) this.#process(entry, lease);
      else await this.#processAlone(entry, lease);
    }
  }

  async #processAlone(entry: GroupEntry, lease: RenewableLeaderLease): Promise<void> {
    while (this.#inFlight > 0) await this.#nextFinished();
    if (!lease.isCurrent() || !(await this.#deps.store.mark(entry.id))) return lease.end();
    this.#process({ ...entry, deliveries: entry.deliveries + 1 }, lease);
    while (this.#inFlight > 0) await this.#nextFinished();
  }

  #process(entry: GroupEntry, lease: RenewableLeaderLease): void {
    this.#inFlight++;
    void this.#deps
      .handle(entry, lease)
      .then((isDone) => {
        if (isDone) this.#acknowledge(entry.id);
      })
      // A handler that throws has a bug; its entry is left to the next leader.
      .catch((error: unknown) =>
        this.#deps.log.error({ err: error, entry: entry.id }, "processing a commands stream entry failed"),
      )
      .finally(() => {
        this.#inFlight--;
        this.#onFinished?.();
      });
  }

  async #continue({ next, entries }: ReadResult & { kind: "leader" }): Promise<number> {
    if (this.#pendingFrom !== undefined) {
      this.#pendingFrom = next;
      return 0;
    }
    if (entries.length === 0) await this.#waitForEntries(next ?? "$");
    return 0;
  }

  async #waitForEntries(after: string): Promise<void> {
    const { store, clock, log } = this.#deps;
    const maxMs = this.#options.leaseMs / 2;
    // The blocking connection waits through an outage; one read at a time is enough.
    this.#waiting ??= store
      .waitForEntries(after, maxMs)
      .catch((error: unknown) => log.debug({ err: error }, "waiting for commands stream entries failed; retrying"))
      .finally(() => (this.#waiting = undefined));
    // Slightly longer than Redis waits, so that an idle stream needs one read per wait.
    await Promise.race([this.#waiting, sleep(clock, maxMs * 1.2, this.#stopping.signal)]);
  }

  async #waitForCapacity(): Promise<number> {
    await this.#nextFinished();
    return 0;
  }

  #nextFinished(): Promise<void> {
    return new Promise((resolve) => (this.#onFinished = resolve));
  }

  #acknowledge(id: string): void {
    this.#done.push(id);
    this.#acknowledging ??= this.#flush();
  }

  /** Several ids per command. If it fails, the entries must be processed again, so the leader starts over. */
  async #flush(): Promise<void> {
    while (this.#done.length > 0) {
      await Promise.resolve();
      const ids = this.#done.splice(0, maxBatchSize);
      await this.#deps.store.acknowledge(ids).catch((error: unknown) => {
        this.#deps.log.warn({ err: error, count: ids.length }, "acknowledging commands stream entries failed");
        this.#leader?.end();
      });
      this.#hasAcknowledged = true;
    }
    // At once: an entry that ends between the last check and a later turn would not be acknowledged.
    this.#acknowledging = undefined;
  }

  /** Renewal and trim in one tick, so that they are sent together. */
  #maintain(): void {
    const lease = this.#leader;
    if (lease === undefined || !lease.isCurrent()) return;
    void this.#renew(lease);
    const now = this.#deps.clock.monotonic();
    const pauseMs = this.#hasAcknowledged ? trimPauseMs : idleTrimPauseMs;
    if (this.#pendingFrom !== undefined || now - this.#trimmedAt < pauseMs) return;
    this.#trimmedAt = now;
    this.#hasAcknowledged = false;
    void this.#trim();
  }

  async #renew(lease: RenewableLeaderLease): Promise<void> {
    const requestedAt = this.#deps.clock.monotonic();
    try {
      const { isLeader, isClaimed } = await this.#deps.store.renew();
      this.#isClaimed = isLeader && isClaimed && !this.#deps.isPreferred();
      if (isLeader && !this.#isClaimed) lease.extend(requestedAt + this.#options.leaseMs);
      else lease.end();
    } catch (error) {
      this.#deps.log.debug({ err: error }, "renewing the commands stream lease failed");
    }
  }

  async #trim(): Promise<void> {
    await this.#deps.store
      .trim()
      .catch((error: unknown) => this.#deps.log.debug({ err: error }, "trimming the commands stream failed"));
  }
}
