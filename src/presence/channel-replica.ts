import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { PacedWarnings } from "../runtime/paced-warnings.ts";
import { parseChange, type StoredMembers, type MembersChange } from "./members-change.ts";
import type { MembersStore } from "./members-store.ts";
import { MembersReplica } from "./members-replica.ts";

/** Failure detector, see `cluster/membership.ts`. */
export interface DeadNodes {
  deadAmong(nodes: readonly string[]): Promise<readonly string[]>;
  noteSeen(node: string): void;
}

export interface ChannelReplicaDeps {
  store: Pick<MembersStore, "read" | "removeNode" | "revision">;
  feed: ShardedFeed;
  keys: Keys;
  membership: DeadNodes;
  clock: Clock;
  log: Logger;
  /** Rate-limited, because anyone with access to Redis can trigger it. */
  warn: PacedWarnings;
  /** Members may have changed. */
  onChanged: (channel: ChannelReplica) => void;
}

interface Awaited {
  revision: number;
  reached: () => void;
}

const retryMs = 500;
/** Max wait for a change that another node has seen; then the channel is read again. */
const reachTimeoutMs = 250;
/** Milliseconds until every node has rewritten its members to a Redis that lost them. */
const rewriteWaitMs = 2_000;
/** Max changes that wait for a reading. Further ones are dropped and detected as a gap. */
const maxWaiting = 1_000;

/** Keeps the replica of one channel in sync: subscribes to its feed, and reads Redis after a gap. */
export class ChannelReplica {
  readonly name: string;
  readonly members = new MembersReplica();
  readonly #deps: ChannelReplicaDeps;
  readonly #waiting: MembersChange[] = [];
  readonly #awaited = new Set<Awaited>();
  #isSubscribed = false;
  #wasRead = false;
  #isSynced = false;
  #isClosed = false;
  #reading: Promise<void> | undefined;
  #mustReadAgain = false;

  constructor(name: string, deps: ChannelReplicaDeps) {
    this.name = name;
    this.#deps = deps;
  }

  /** Resolves when the replica is in sync with Redis. Rejects if Redis cannot be read. */
  async synced(): Promise<void> {
    if (!this.#isSynced) await (this.#reading ?? this.#read());
  }

  /** Resolves when the replica has reached the revision, from the feed or by reading. */
  async reached(revision: number): Promise<void> {
    if (this.members.revision >= revision) return;
    const timeout = new AbortController();
    const awaited = { revision, reached: () => timeout.abort() };
    this.#awaited.add(awaited);
    await sleep(this.#deps.clock, reachTimeoutMs, timeout.signal);
    this.#awaited.delete(awaited);
    if (this.members.revision < revision) await this.readAgain();
  }

  /** Reads again, beginning after the call. */
  async readAgain(): Promise<void> {
    await this.#reading?.catch(() => undefined);
    await (this.#reading ?? this.#read());
  }

  /** Compares revisions, because the loss of the last change shows in nothing else. */
  async check(): Promise<void> {
    if (!this.#isSynced || this.#reading !== undefined) return;
    if ((await this.#deps.store.revision(this.name)) !== this.members.revision) await this.readAgain();
  }

  /** The node is dead. */
  drop(node: string): void {
    this.members.drop(node);
    this.#deps.onChanged(this);
  }

  close(): void {
    this.#isClosed = true;
    this.#deps.feed.unsubscribe(this.#feedKey);
  }

  get #feedKey(): string {
    return this.#deps.keys.membersFeed(this.name);
  }

  #read(): Promise<void> {
    this.#isSynced = false;
    this.#mustReadAgain = false;
    this.#reading = this.#readOnce().finally(() => (this.#reading = undefined));
    this.#reading.then(
      () => {
        if (this.#mustReadAgain) this.#readLater(0);
      },
      (error: unknown) => {
        this.#deps.log.debug({ err: error }, "reading presence members failed; retrying");
        this.#readLater(retryMs);
      },
    );
    return this.#reading;
  }

  /** Also if no request waits, because subscribers must be notified. */
  #readLater(delayMs: number): void {
    this.#deps.clock.after(delayMs, () => {
      if (!this.#isClosed) this.readAgain().catch(() => undefined); // Reported where it happens.
    });
  }

  async #readOnce(): Promise<void> {
    const { feed, membership } = this.#deps;
    // Once closed, the subscription may be another replica's; whoever still waits only reads.
    if (!this.#isSubscribed && !this.#isClosed)
      await feed.subscribe(this.#feedKey, (message) => this.#receive(message));
    this.#isSubscribed = true;
    const { nodes, ...read } = await this.#readWhole();
    const dead = await membership.deadAmong([...nodes.keys()]);
    for (const node of dead) this.#removeNode(node);
    this.members.replace({ ...read, nodes: new Map([...nodes].filter(([node]) => !dead.includes(node))) });
    if (!this.#wasRead) this.members.forgetDiff();
    this.#wasRead = true;
    this.#isSynced = true;
    for (const change of this.#waiting.splice(0)) this.#apply(change);
    this.#onChanged();
  }

  /** If Redis has lost members, waits until nodes have rewritten them, so that nobody is told that they left. */
  async #readWhole(): Promise<StoredMembers> {
    const { store, clock } = this.#deps;
    const membership = await store.read(this.name);
    if (!this.members.isForgottenBy(membership)) return membership;
    await sleep(clock, rewriteWaitMs);
    return store.read(this.name);
  }

  #removeNode(node: string): void {
    this.#deps.store.removeNode(this.name, node).catch((error: unknown) => {
      this.#deps.log.warn({ err: error }, "removing a dead node's presence members failed");
    });
  }

  #receive(message: Buffer): void {
    const change = parseChange(message);
    if (change === undefined) this.#deps.warn({ bytes: message.length }, "ignored malformed presence members");
    else if (this.#isSynced) this.#apply(change);
    else if (this.#waiting.length < maxWaiting) this.#waiting.push(change);
    else this.#mustReadAgain = true;
  }

  #apply(change: MembersChange): void {
    const placement = this.members.place(change);
    if (placement === "gap") this.readAgain().catch(() => undefined); // Reported where it happens.
    if (placement !== "next") return;
    this.#deps.membership.noteSeen(change.node);
    this.members.apply(change);
    this.#onChanged();
  }

  #onChanged(): void {
    this.#deps.onChanged(this);
    for (const { revision, reached } of this.#awaited) if (revision <= this.members.revision) reached();
  }
}
