import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/sharded-feed.ts";
import { sleep, type Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { PacedWarnings } from "../runtime/paced-warnings.ts";
import { parseChange, type StoredMembers, type MembersChange } from "./members-change.ts";
import type { MembersStore } from "./members-store.ts";
import { MembersReplica } from "./members-replica.ts";

/** Which of the names met in the store are dead; `cluster/membership.ts` is one. */
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
  /** Anybody on Redis can make it be called as often as they like. */
  warn: PacedWarnings;
  /** Members may have changed. */
  onChanged: (channel: ChannelReplica) => void;
}

interface Awaited {
  revision: number;
  reached: () => void;
}

const retryMs = 500;
/** Longest wait for a change that another has seen; then the channel is read again. */
const reachTimeoutMs = 250;
/** Milliseconds until every node has said its members again to a store that lost them. */
const rewriteWaitMs = 2_000;
/** Most changes that wait for a reading; what comes on top is dropped, and found missing. */
const maxWaiting = 1_000;

/** The mirror of one channel, kept true: it follows the feed, and reads the store where something is missing. */
export class ChannelReplica {
  readonly name: string;
  readonly members = new MembersReplica();
  readonly #deps: ChannelReplicaDeps;
  readonly #waiting: MembersChange[] = [];
  readonly #awaited = new Set<Awaited>();
  #isFollowed = false;
  #wasRead = false;
  #isTrue = false;
  #isClosed = false;
  #reading: Promise<void> | undefined;
  #mustReadAgain = false;

  constructor(name: string, deps: ChannelReplicaDeps) {
    this.name = name;
    this.#deps = deps;
  }

  /** Resolves when the mirror shows what the store holds; rejects where that cannot be read now. */
  async synced(): Promise<void> {
    if (!this.#isTrue) await (this.#reading ?? this.#read());
  }

  /** Resolves when the mirror has come to the revision, by what it hears or else by reading. */
  async reached(revision: number): Promise<void> {
    if (this.members.revision >= revision) return;
    const timeout = new AbortController();
    const awaited = { revision, reached: () => timeout.abort() };
    this.#awaited.add(awaited);
    await sleep(this.#deps.clock, reachTimeoutMs, timeout.signal);
    this.#awaited.delete(awaited);
    if (this.members.revision < revision) await this.readAgain();
  }

  /** By a reading that begins after the call: something may be missing. */
  async readAgain(): Promise<void> {
    await this.#reading?.catch(() => undefined);
    await (this.#reading ?? this.#read());
  }

  /** A change that was lost at the end of what was heard shows in the revision alone. */
  async check(): Promise<void> {
    if (!this.#isTrue || this.#reading !== undefined) return;
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
    this.#isTrue = false;
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

  /** Also where nobody asks: subscribers are to be told. */
  #readLater(delayMs: number): void {
    this.#deps.clock.after(delayMs, () => {
      if (!this.#isClosed) this.readAgain().catch(() => undefined); // Reported where it happens.
    });
  }

  async #readOnce(): Promise<void> {
    const { feed, membership } = this.#deps;
    if (!this.#isFollowed) await feed.subscribe(this.#feedKey, (message) => this.#hear(message));
    this.#isFollowed = true;
    const { nodes, ...read } = await this.#readWhole();
    const dead = await membership.deadAmong([...nodes.keys()]);
    for (const node of dead) this.#removeNode(node);
    this.members.replace({ ...read, nodes: new Map([...nodes].filter(([node]) => !dead.includes(node))) });
    if (!this.#wasRead) this.members.forgetDiff();
    this.#wasRead = true;
    this.#isTrue = true;
    for (const change of this.#waiting.splice(0)) this.#take(change);
    this.#moved();
  }

  /** Nobody is told that all have left where only the store has lost them. */
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

  #hear(message: Buffer): void {
    const change = parseChange(message);
    if (change === undefined) this.#deps.warn({ bytes: message.length }, "ignored malformed presence members");
    else if (this.#isTrue) this.#take(change);
    else if (this.#waiting.length < maxWaiting) this.#waiting.push(change);
    else this.#mustReadAgain = true;
  }

  #take(change: MembersChange): void {
    const placement = this.members.place(change);
    if (placement === "gap") this.readAgain().catch(() => undefined); // Reported where it happens.
    if (placement !== "next") return;
    this.#deps.membership.noteSeen(change.node);
    this.members.apply(change);
    this.#moved();
  }

  #moved(): void {
    this.#deps.onChanged(this);
    for (const { revision, reached } of this.#awaited) if (revision <= this.members.revision) reached();
  }
}
