import { SubscriberList, type Deliver, type Subscriber } from "../channels/subscribers.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Cancel, Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { PacedWarnings } from "../runtime/paced-warnings.ts";
import {
  changeText,
  changeTo,
  parseChanges,
  statePacket,
  type ReceivedChanges,
  type StoredState,
} from "./state-change.ts";

export interface LocalStateDeps {
  feed: ShardedFeed;
  read: (channel: string) => Promise<StoredState>;
  deliver: Deliver;
  /** False while this node may not deliver. */
  mayDeliver: () => boolean;
  /** Called with the number of changes that a later one of the same key replaced, for each subscriber. */
  onConflated: (deliveryCount: number) => void;
  clock: Clock;
  log: Logger;
  /** Rate-limited, because anyone with access to Redis can trigger it. */
  warn: PacedWarnings;
}

/** A change of one key, and the timestamp of its revision. */
interface DeliveredChange {
  timestamp: number;
  text: string;
}

/** A subscriber that is being sent a snapshot: changes wait until it has left. */
interface HeldSubscriber {
  /** Requests that are being answered; undefined before the first. */
  pending: number | undefined;
  /** Of the last snapshot; changes up to it are part of it. */
  timestamp: number;
  /** By key, in the order of the last changes. */
  readonly changes: Map<string, DeliveredChange>;
}

const retryMs = 500;
const fencedRetryMs = 50;
/** Max wait for changes that a snapshot contained already; then the state is read again. */
const reachTimeoutMs = 250;
/** Messages that may wait for a reading; the reading after it finds what was dropped. */
const maxEarly = 1_000;

/**
 * The state of a channel with subscribers on this node: it knows the timestamp of each key, and delivers what changes, at
 * most once per window and key. After a gap in the feed, or if Redis has lost changes, it reads the state again and delivers
 * the difference.
 */
export class LocalState {
  readonly name: string;
  readonly #feedKey: string;
  readonly #windowMs: number;
  readonly #deps: LocalStateDeps;
  readonly #subscribers = new Set<Subscriber>();
  /** Those that receive changes as they come. */
  readonly #ready = new SubscriberList();
  readonly #held = new Map<Subscriber, HeldSubscriber>();
  /** The timestamp of each key. */
  readonly #versions = new Map<string, number>();
  readonly #waiting = new Map<string, DeliveredChange>();
  #early: ReceivedChanges[] = [];
  #revision = 0;
  /** Up to which changes were delivered. */
  #deliveredRevision = 0;
  #timestamp = 0;
  #isFollowed = false;
  #isSynced = false;
  #mustReadAgain = false;
  #isClosed = false;
  #reading: Promise<void> | undefined;
  #cancelWindow: Cancel | undefined;

  constructor(name: string, { feedKey, windowMs }: { feedKey: string; windowMs: number }, deps: LocalStateDeps) {
    this.name = name;
    this.#feedKey = feedKey;
    this.#windowMs = windowMs;
    this.#deps = deps;
  }

  get subscriberCount(): number {
    return this.#subscribers.size;
  }

  /** Resolves when changes are received and were read once. Rejects if Redis cannot be read. */
  async synced(): Promise<void> {
    if (!this.#isSynced) await (this.#reading ?? this.readAgain());
  }

  /** The subscriber receives nothing until `hold` and `resume` were called. */
  add(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
    this.#held.set(subscriber, { pending: undefined, timestamp: 0, changes: new Map() });
  }

  remove(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
    this.#ready.remove(subscriber);
    this.#held.delete(subscriber);
  }

  /** Call before the state is read for the subscriber: later changes wait for `resume`. */
  hold(subscriber: Subscriber): void {
    if (!this.#subscribers.has(subscriber)) return;
    const held = this.#held.get(subscriber) ?? {
      pending: 0,
      timestamp: 0,
      changes: new Map<string, DeliveredChange>(),
    };
    held.pending = (held.pending ?? 0) + 1;
    this.#held.set(subscriber, held);
    this.#ready.remove(subscriber);
  }

  /** The subscriber will be sent the state as of this timestamp. */
  answered(subscriber: Subscriber, timestamp: number): void {
    const held = this.#held.get(subscriber);
    if (held !== undefined) held.timestamp = Math.max(held.timestamp, timestamp);
  }

  /** What was read has left, or the request was refused. */
  resume(subscriber: Subscriber): void {
    const { mayDeliver, clock } = this.#deps;
    if (!mayDeliver()) return void clock.after(fencedRetryMs, () => this.resume(subscriber));
    const held = this.#held.get(subscriber);
    if (held?.pending === undefined) return;
    held.pending -= 1;
    if (this.#release(subscriber, held) || held.pending > 0) return;
    clock.after(reachTimeoutMs, () => {
      if (this.#held.get(subscriber) === held && held.timestamp > this.#timestamp) this.#readLater();
    });
  }

  /** A snapshot may contain changes that the feed has not delivered yet: until then the subscriber waits. */
  #release(subscriber: Subscriber, held: HeldSubscriber): boolean {
    if (held.pending !== 0 || held.timestamp > this.#timestamp) return false;
    this.#held.delete(subscriber);
    this.#ready.add(subscriber);
    const missed = [...held.changes.values()].filter(({ timestamp }) => timestamp > held.timestamp);
    if (missed.length > 0) this.#send([subscriber], missed);
    return true;
  }

  /** Reads the state and delivers what changed: messages may have been lost, or Redis has lost changes. */
  readAgain(): Promise<void> {
    if (this.#reading !== undefined) this.#mustReadAgain = true;
    return (this.#reading ??= this.#read());
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelWindow?.();
    this.#deps.feed.unsubscribe(this.#feedKey);
  }

  async #read(): Promise<void> {
    try {
      await this.#readOnce();
    } catch (error) {
      this.#deps.log.debug({ err: error }, "reading the state of a channel failed; retrying");
      this.#deps.clock.after(retryMs, () => this.#readLater());
      throw error;
    } finally {
      this.#reading = undefined;
    }
    if (this.#mustReadAgain) this.#readLater();
  }

  #readLater(): void {
    if (!this.#isClosed) this.readAgain().catch(() => undefined); // Reported where it happens, and tried again.
  }

  async #readOnce(): Promise<void> {
    const isFirst = !this.#isFollowed;
    this.#isSynced = false;
    this.#mustReadAgain = false;
    if (isFirst) await this.#deps.feed.subscribe(this.#feedKey, (message) => this.#receive(message));
    this.#isFollowed = true;
    const read = await this.#deps.read(this.name);
    const changes = this.#differences(read);
    // Redis has lost changes: what subscribers were sent is no longer part of the state.
    if (read.timestamp < this.#timestamp) for (const held of this.#held.values()) held.timestamp = 0;
    this.#revision = read.revision;
    this.#timestamp = read.timestamp;
    this.#isSynced = true;
    // Nobody was sent anything before the first reading.
    if (isFirst) this.#deliveredRevision = read.revision;
    else this.#offer(changes);
    for (const message of this.#early.splice(0)) this.#receiveNext(message);
    this.#releaseAll();
  }

  /** Applies what was read; returns the changes. */
  #differences({ entries, timestamp, removed }: StoredState): Map<string, DeliveredChange> {
    const changes = new Map<string, DeliveredChange>();
    for (const key of this.#versions.keys()) {
      if (entries.has(key)) continue;
      this.#versions.delete(key);
      changes.set(key, { timestamp: removed.get(key) ?? timestamp, text: changeText({ key, value: undefined }) });
    }
    for (const [key, entry] of entries) {
      if (this.#versions.get(key) === entry.timestamp) continue;
      this.#versions.set(key, entry.timestamp);
      changes.set(key, { timestamp: entry.timestamp, text: changeTo(key, entry) });
    }
    return changes;
  }

  #receive(message: Buffer): void {
    const received = parseChanges(message);
    if (received === undefined) this.#deps.warn({ bytes: message.length }, "ignored a malformed change of state");
    else if (this.#isSynced) this.#receiveNext(received);
    else if (this.#early.length < maxEarly) this.#early.push(received);
    else this.#mustReadAgain = true;
  }

  #receiveNext({ revision, timestamp, previousTimestamp, changes }: ReceivedChanges): void {
    if (timestamp <= this.#timestamp) return;
    if (previousTimestamp !== this.#timestamp) return this.#readLater();
    this.#revision = revision;
    this.#timestamp = timestamp;
    const offered = new Map<string, DeliveredChange>();
    for (const [key, { text, isRemoved }] of changes) {
      if (isRemoved) this.#versions.delete(key);
      else this.#versions.set(key, timestamp);
      offered.set(key, { timestamp, text });
    }
    this.#offer(offered);
  }

  #offer(changes: ReadonlyMap<string, DeliveredChange>): void {
    let replaced = 0;
    for (const [key, change] of changes) {
      if (this.#waiting.delete(key)) replaced += 1;
      this.#waiting.set(key, change);
    }
    if (replaced > 0) this.#deps.onConflated(replaced * this.subscriberCount);
    if (this.#cancelWindow === undefined) this.#flush();
  }

  /** The first change is delivered at once, and those that follow at the end of the window. */
  #flush(): void {
    this.#cancelWindow = undefined;
    if (this.#waiting.size === 0) return;
    this.#cancelWindow = this.#deps.clock.after(this.#windowMs, () => this.#flush());
    // A node that was frozen may have missed revocations.
    if (!this.#deps.mayDeliver()) return;
    const changes = [...this.#waiting];
    this.#waiting.clear();
    this.#deliveredRevision = this.#revision;
    for (const { changes: held } of this.#held.values()) {
      for (const [key, change] of changes) {
        held.delete(key);
        held.set(key, change);
      }
    }
    if (this.#ready.members.length > 0)
      this.#send(
        this.#ready.members,
        changes.map(([, change]) => change),
      );
    this.#releaseAll();
  }

  #releaseAll(): void {
    for (const [subscriber, held] of this.#held) this.#release(subscriber, held);
  }

  #send(subscribers: readonly Subscriber[], changes: readonly DeliveredChange[]): void {
    const texts = changes.map(({ text }) => text);
    this.#deps.deliver(subscribers, statePacket(this.name, this.#deliveredRevision, texts));
  }
}
