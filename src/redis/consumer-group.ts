import { sleep, type Cancel, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { GroupEntry, GroupStore, ReadResult } from "./group-store.ts";
import { RenewableLeaderLease, type LeaderLease } from "./leader-lease.ts";

/**
 * Reads a stream as one consumer of its group, while it has the turn.
 *
 * One node reads at a time; the others stand by and take over when its lease ends, or at once when it stops. Entries are
 * handed on in the stream's order, first those that a predecessor left pending, so whoever handles them can keep the
 * order of what belongs together without asking other nodes. Handling is concurrent; an entry is acknowledged when it is
 * done. What was being handled when a node died is handled again: effects must bear repetition.
 *
 * An entry that was pending at several deaths is a suspect: it is handled alone and each attempt is counted in Redis
 * before it begins, so that one that kills its consumer is known in the end (`deliveries`), and not its neighbours.
 */
export interface ConsumerGroup {
  start(): void;
  /** Finishes what it is at, lets the rest go and passes the turn on. */
  stop(): Promise<void>;
}

/** True where the entry is done with; false leaves it to the next turn. */
export type HandleEntry = (entry: GroupEntry, turn: LeaderLease) => Promise<boolean>;

export interface ConsumerGroupOptions {
  leaseMs: number;
  /** Entries read and not yet done with. @default 1024 */
  maxInFlight?: number;
  suspectAfter: number;
}

export interface ConsumerGroupDeps {
  store: GroupStore;
  handle: HandleEntry;
  clock: Clock;
  log: Logger;
}

const maxBatchSize = 256;
/** Less room than this is not worth a round trip. */
const minBatchSize = 32;
/** Milliseconds between two trims at least. */
const trimPauseMs = 1_000;

export function createConsumerGroup(deps: ConsumerGroupDeps, options: ConsumerGroupOptions): ConsumerGroup {
  return new Consumer(deps, { maxInFlight: 1_024, ...options });
}

class Consumer implements ConsumerGroup {
  readonly #deps: ConsumerGroupDeps;
  readonly #options: Required<ConsumerGroupOptions>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #turn: RenewableLeaderLease | undefined;
  /** Where to go on with pending entries; undefined when there are none left. */
  #pendingFrom: string | undefined;
  #unfinished = 0;
  #onFinished: (() => void) | undefined;
  readonly #done: string[] = [];
  #acknowledging: Promise<void> | undefined;
  #waiting: Promise<void> | undefined;
  #trimmedAt = -Infinity;
  #cancel: Cancel | undefined;

  constructor(deps: ConsumerGroupDeps, options: Required<ConsumerGroupOptions>) {
    this.#deps = deps;
    this.#options = options;
  }

  start(): void {
    if (this.#running !== undefined) return;
    const { clock } = this.#deps;
    this.#cancel = clock.every(this.#options.leaseMs / 4, () => this.#keepUp());
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    const hadTurn = this.#turn?.isCurrent() === true;
    this.#stopping.abort();
    this.#turn?.end();
    await this.#running;
    await this.#leaveTurn();
    this.#cancel?.();
    await this.#acknowledging;
    // Where Redis is away the lease ends by itself.
    if (hadTurn) await this.#deps.store.releaseLease().catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const standbyMs = this.#options.leaseMs / 4;
    while (!this.#stopping.signal.aborted) {
      const pauseMs = await this.#round(standbyMs).catch((error: unknown) => {
        log.warn({ err: error }, "reading the commands stream failed; retrying");
        return standbyMs;
      });
      if (pauseMs > 0) await sleep(clock, pauseMs, this.#stopping.signal);
    }
  }

  /** Milliseconds until the next round. */
  async #round(standbyMs: number): Promise<number> {
    if (this.#turn !== undefined && !this.#turn.isCurrent()) await this.#leaveTurn();
    const { maxInFlight: mostUnfinished } = this.#options;
    const room = mostUnfinished - this.#unfinished;
    if (room < Math.min(minBatchSize, Math.ceil(mostUnfinished / 2))) return this.#roomMade();
    const askedAt = this.#deps.clock.monotonic();
    const taken = await this.#take(Math.min(maxBatchSize, room));
    if (taken.kind === "standby") {
      await this.#leaveTurn();
      return standbyMs;
    }
    // Where the turn may have lapsed in between, what was read is pending by now, and is read again in its order.
    if (taken.kind === "begun" || this.#turn?.isCurrent() !== true) return this.#beginTurn(askedAt);
    this.#turn.extend(askedAt + this.#options.leaseMs);
    await this.#handOn(taken.entries, this.#turn);
    return this.#goOn(taken);
  }

  #take(most: number): Promise<ReadResult> {
    const { store } = this.#deps;
    return this.#pendingFrom === undefined ? store.takeNew(most) : store.takePending(most, this.#pendingFrom);
  }

  /** What others left comes first, and what this consumer may have left in an earlier turn. */
  async #beginTurn(askedAt: number): Promise<number> {
    await this.#leaveTurn();
    this.#turn = new RenewableLeaderLease(this.#deps.clock, askedAt + this.#options.leaseMs);
    this.#pendingFrom = "-";
    return 0;
  }

  /** Resolves when nothing of the turn is being handled any more. */
  async #leaveTurn(): Promise<void> {
    this.#turn?.end();
    this.#turn = undefined;
    while (this.#unfinished > 0) await this.#finished();
  }

  async #handOn(entries: readonly GroupEntry[], turn: RenewableLeaderLease): Promise<void> {
    for (const entry of entries) {
      if (this.#pendingFrom === undefined || entry.deliveries < this.#options.suspectAfter) this.#begin(entry, turn);
      else await this.#handleAlone(entry, turn);
    }
  }

  async #handleAlone(entry: GroupEntry, turn: RenewableLeaderLease): Promise<void> {
    while (this.#unfinished > 0) await this.#finished();
    if (!turn.isCurrent() || !(await this.#deps.store.mark(entry.id))) return turn.end();
    this.#begin({ ...entry, deliveries: entry.deliveries + 1 }, turn);
    while (this.#unfinished > 0) await this.#finished();
  }

  #begin(entry: GroupEntry, turn: RenewableLeaderLease): void {
    this.#unfinished++;
    void this.#deps
      .handle(entry, turn)
      .then((isDone) => {
        if (isDone) this.#acknowledge(entry.id);
      })
      // A handler that throws has a fault; its entry is left to the next turn.
      .catch((error: unknown) =>
        this.#deps.log.error({ err: error, entry: entry.id }, "processing a commands stream entry failed"),
      )
      .finally(() => {
        this.#unfinished--;
        this.#onFinished?.();
      });
  }

  async #goOn({ next, entries }: ReadResult & { kind: "turn" }): Promise<number> {
    if (this.#pendingFrom !== undefined) {
      this.#pendingFrom = next;
      return 0;
    }
    if (entries.length === 0) await this.#news(next ?? "$");
    return 0;
  }

  async #news(after: string): Promise<void> {
    const { store, clock, log } = this.#deps;
    const mostMs = this.#options.leaseMs / 2;
    // The blocking connection waits out an outage; one read at a time is enough.
    this.#waiting ??= store
      .waitForEntries(after, mostMs)
      .catch((error: unknown) => log.debug({ err: error }, "waiting for commands stream entries failed; retrying"))
      .finally(() => (this.#waiting = undefined));
    // A little longer than Redis waits, so that at rest its answer ends both: else each wait would be followed by two reads.
    await Promise.race([this.#waiting, sleep(clock, mostMs * 1.2, this.#stopping.signal)]);
  }

  async #roomMade(): Promise<number> {
    await this.#finished();
    return 0;
  }

  #finished(): Promise<void> {
    return new Promise((resolve) => (this.#onFinished = resolve));
  }

  #acknowledge(id: string): void {
    this.#done.push(id);
    this.#acknowledging ??= this.#flush().finally(() => (this.#acknowledging = undefined));
  }

  /** Several in one command. What Redis did not hear of must be handled again, so the turn begins anew. */
  async #flush(): Promise<void> {
    while (this.#done.length > 0) {
      await Promise.resolve();
      const ids = this.#done.splice(0, maxBatchSize);
      await this.#deps.store.acknowledge(ids).catch((error: unknown) => {
        this.#deps.log.warn({ err: error, count: ids.length }, "acknowledging commands stream entries failed");
        this.#turn?.end();
      });
    }
  }

  /** Both in one turn of the event loop, so that they leave together. */
  #keepUp(): void {
    const turn = this.#turn;
    if (turn === undefined || !turn.isCurrent()) return;
    void this.#renew(turn);
    const now = this.#deps.clock.monotonic();
    if (this.#pendingFrom !== undefined || now - this.#trimmedAt < trimPauseMs) return;
    this.#trimmedAt = now;
    void this.#trim();
  }

  async #renew(turn: RenewableLeaderLease): Promise<void> {
    const askedAt = this.#deps.clock.monotonic();
    try {
      const { kind } = await this.#deps.store.renew();
      if (kind === "turn") turn.extend(askedAt + this.#options.leaseMs);
      else turn.end();
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
