import type { Kinds } from "../channels/kinds.ts";
import type { Permissions, Principal } from "../channels/permissions.ts";
import type { PublicationSender } from "../channels/publication.ts";
import type { ChannelStates, MissedChanges } from "../channels/subscription.ts";
import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { Deliver, Subscriber } from "../channels/subscribers.ts";
import type { Fence } from "../cluster/fence.ts";
import { GatewayError } from "../protocol/errors.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { StateSnapshot } from "../protocol/wire.ts";
import type { RedisClient } from "../redis/connections.ts";
import { createDueSet } from "../redis/queues/due-set.ts";
import type { Keys } from "../redis/keys.ts";
import { runsOf } from "../redis/runs.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { SingleFlight } from "../runtime/single-flight.ts";
import { expiryLeaseMs, KeyExpiry } from "./key-expiry.ts";
import { LocalStates } from "./local-states.ts";
import { OwnedKeys } from "./owned-keys.ts";
import { changeText, changeTo, statePacket, type StateWrite, type StoredState } from "./state-change.ts";
import { createStateIndexStore, ownedTtlSeconds, type StateIndexStore } from "./state-index-store.ts";
import { createStateStore, type StateBounds, type StateStore } from "./state-store.ts";

export interface StateDeps {
  commands: RedisClient;
  feed: ShardedFeed;
  keys: Keys;
  kinds: Kinds;
  permissions: Pick<Permissions, "checkPublish">;
  deliver: Deliver;
  /** This node's name in the cluster and its lease. */
  control: { readonly incarnation: string; readonly fence: Fence };
  onConflated: (deliveryCount: number) => void;
  /** Returns a value as the contract's schema does. `at` is the path of the change. Throws `bad_request`. */
  check: (change: RequestedChange & { channel: string }, at: string) => unknown;
  /** Synchronized with Redis' clock. */
  clock: Clock;
  log: Logger;
}

export interface StateOptions extends StateBounds {
  /** Bytes of a key in UTF-8. */
  keyBytes: number;
  /** Bytes of a value as JSON. */
  valueBytes: number;
}

/** A change as clients and backends request it. */
export interface RequestedChange {
  key: string;
  /** Null removes the key. */
  value: unknown;
  ttlSeconds?: number | undefined;
}

/** A key in the state of a channel. */
export interface KeyOfUser {
  channel: string;
  key: string;
  value: unknown;
  updatedAt: number;
}

/** The connection that sets a key. */
export interface StateSetter {
  readonly id: string;
  readonly identity: Principal;
  readonly subscriber: Subscriber;
}

/** Milliseconds within which changes of a key are sent once, for kinds without `conflateMs`. */
const windowMs = 50;

/** A change may reach subscribers this much later than publications with a later timestamp, in microseconds. */
const latenessMicros = 10_000_000;

/**
 * Keyed state of channels: clients and backends set and remove keys, and a subscriber is sent all of them, then what
 * changes.
 *
 * A change is atomic and numbered (`state-store.ts`). A subscriber receives the last value of every key, in order per key;
 * values between are skipped if they follow each other quickly. A snapshot contains every change that was acknowledged
 * before it was requested. A recovering connection is sent the keys that changed while it was away.
 */
export class State implements ChannelStates {
  readonly name = "state";
  readonly #deps: StateDeps;
  readonly #options: StateOptions;
  readonly #store: StateStore;
  readonly #index: StateIndexStore;
  readonly #locals: LocalStates;
  readonly #owned: OwnedKeys;
  readonly #expiry: KeyExpiry;
  readonly #reads = new SingleFlight<StoredState>();

  constructor(deps: StateDeps, options: StateOptions) {
    const { commands, keys, kinds, clock, control } = deps;
    this.#deps = deps;
    this.#options = options;
    this.#store = createStateStore(deps, options);
    this.#index = createStateIndexStore(deps, options);
    this.#locals = new LocalStates({
      ...deps,
      mayDeliver: () => control.fence.isOpen,
      read: (channel) => this.#read(channel),
      windowOf: (channel) => kinds.of(channel).conflateMs || windowMs,
    });
    this.#owned = new OwnedKeys({
      ...deps,
      store: { remove: this.#store.remove, reclaim: (...request) => this.#reclaim(...request) },
      register: (node, channel) => this.#index.registerOwned(node, channel),
      incarnation: () => control.incarnation,
      mayWrite: () => control.fence.isOpen,
    });
    const due = createDueSet(commands, { key: keys.dueStates(), leaseMs: expiryLeaseMs });
    this.#expiry = new KeyExpiry({ store: this.#store, due, clock, log: deps.log });
  }

  start(): void {
    const { feed, commands, control } = this.#deps;
    this.#locals.start();
    this.#expiry.start();
    this.#owned.start((ownedTtlSeconds / 8) * 1_000);
    // Changes may have been missed, or lost by Redis.
    for (const listen of [feed.onRestored.bind(feed), control.fence.onReopened.bind(control.fence)])
      listen(() => this.#restore());
    runsOf(commands).onNewRun(() => this.#restore());
  }

  async stop(): Promise<void> {
    this.#locals.stop();
    await this.#expiry.stop();
    await this.#owned.stop();
  }

  #restore(): void {
    this.#index.forgetRegistered();
    this.#expiry.forgetPlanned();
    this.#locals.readAgain();
    this.#owned.rewriteAll();
  }

  // Changes

  /** Checks the client's permission to publish. Throws `forbidden`, `unknown_channel`, `payload_too_large`. */
  async setAs(
    { identity, subscriber, id: connectionId }: StateSetter,
    channel: string,
    { own, ...requested }: RequestedChange & { own?: boolean | undefined },
  ): Promise<{ channel: string; key: string; revision: number }> {
    const from = { userId: identity.userId, connectionId, info: identity.info };
    const wanted = this.#parse(channel, requested, from);
    const publication = { event: "state:set", data: canonicalJson({ key: requested.key, value: requested.value }) };
    const pending = this.#deps.permissions.checkPublish(identity, channel, { subscriber, publication });
    const data = pending && (await pending);
    const change = data === undefined ? wanted : this.#parse(channel, { ...requested, value: valueIn(data) }, from);
    const isOwn = own === true && change.value !== undefined;
    const revision = await (isOwn ? this.#setOwn(connectionId, channel, change) : this.#set(channel, [change]));
    if (!isOwn) this.#owned.disown(connectionId, channel, change.key);
    return { channel, key: change.key, revision };
  }

  /** Applies all changes or none; a key that occurs twice has its last value. Throws as `setAs` does. */
  async set(channel: string, requested: readonly RequestedChange[]): Promise<number> {
    const parsed = requested.map((change, index) => this.#parse(channel, change, undefined, `changes[${index}]`));
    return this.#set(channel, [...new Map(parsed.map((change) => [change.key, change])).values()]);
  }

  /** Removes all keys, and tells subscribers; resolves to their number. */
  async clear(channel: string): Promise<number> {
    if (!this.#deps.kinds.of(channel).state) return 0;
    return (await this.#store.remove(channel, { which: "all" })).removed;
  }

  /** At most `max` keys that the user set last, in all channels. */
  async ofUser(userId: string, max: number): Promise<KeyOfUser[]> {
    const found: KeyOfUser[] = [];
    for await (const channels of this.#index.pages()) {
      const pages = await Promise.all(channels.map((channel) => this.#keysOf(userId, channel)));
      found.push(...pages.flat());
      if (found.length >= max) break;
    }
    return found.slice(0, max);
  }

  async #keysOf(userId: string, channel: string): Promise<KeyOfUser[]> {
    const { entries } = toSnapshot(await this.#store.read(channel));
    return Object.entries(entries)
      .filter(([, { from }]) => from?.userId === userId)
      .map(([key, { value, updatedAt }]) => ({ channel, key, value, updatedAt }));
  }

  /** Removes the keys that the user set last, in all channels; resolves to their number. */
  async removeUser(userId: string): Promise<number> {
    let sum = 0;
    for await (const channels of this.#index.pages()) {
      const removal = { which: "user", subject: userId } as const;
      const results = await Promise.all(channels.map((channel) => this.#store.remove(channel, removal)));
      sum += results.reduce((total, { removed }) => total + removed, 0);
    }
    return sum;
  }

  /** Removes the keys that the connection owns. */
  connectionEnded(connectionId: string): void {
    this.#owned.end(connectionId);
  }

  /** Removes the keys that connections of a dead node owned. */
  async onDead(node: string): Promise<void> {
    const channels = await this.#index.ownedBy(node);
    await Promise.all(channels.map((channel) => this.#store.remove(channel, { which: "node", subject: node })));
    await this.#index.forgetNode(node);
  }

  /** Before keys are set: registers the channel, and plans when they expire. Resolves with these times. */
  async #register(channel: string, changes: readonly StateWrite[]): Promise<number[]> {
    const dueAt = changes.flatMap((change) => change.dueAt ?? []);
    await Promise.all([this.#index.register(channel), ...dueAt.map((due) => this.#expiry.plan(channel, due))]);
    return dueAt;
  }

  async #reclaim(channel: string, changes: readonly StateWrite[], owner: string, ownerBefore: string) {
    await this.#register(channel, changes);
    return this.#store.reclaim(channel, changes, owner, ownerBefore);
  }

  async #set(channel: string, changes: readonly StateWrite[], owner?: string): Promise<number> {
    const dueAt = await this.#register(channel, changes);
    const revision = await this.#store.set(channel, changes, owner);
    // Redis took so long that what was planned may be over.
    const now = this.#deps.clock.now();
    if (dueAt.some((due) => due <= now)) await this.#expiry.plan(channel, now + 1_000);
    return revision;
  }

  async #setOwn(connectionId: string, channel: string, change: StateWrite): Promise<number> {
    const owner = await this.#owned.ownerOf(connectionId, channel);
    const revision = await this.#set(channel, [change], owner).catch((error: unknown) => {
      // It may be set or not, unless it was refused.
      if (!(error instanceof GatewayError)) this.#owned.note(connectionId, channel, change, owner);
      throw error;
    });
    const isCurrent = this.#owned.note(connectionId, channel, change, owner);
    return isCurrent ? revision : this.#setOwn(connectionId, channel, change);
  }

  #parse(channel: string, requested: RequestedChange, from?: PublicationSender, at = ""): StateWrite {
    const { key, value, ttlSeconds } = requested;
    const { keyBytes, valueBytes } = this.#options;
    if (!this.#deps.kinds.of(channel).state) throw noState();
    const json = value === null ? undefined : canonicalJson(this.#deps.check({ channel, key, value }, at));
    const path = at === "" ? "" : `${at}.`;
    checkBytes(`${path}key`, key, keyBytes);
    if (json !== undefined) checkBytes(`${path}value`, json, valueBytes);
    const dueAt = ttlSeconds === undefined ? undefined : this.#deps.clock.now() + ttlSeconds * 1_000;
    return { key, value: json, from, dueAt: json === undefined ? undefined : dueAt };
  }

  // Subscriptions

  onSubscription({ subscriber, channel, isSubscribed }: SubscriptionChange): void {
    if (!this.#deps.kinds.of(channel).state) return;
    if (isSubscribed) this.#locals.add(channel, subscriber);
    else this.#locals.remove(channel, subscriber);
  }

  /** The state as it is, for an operator. Undefined for kinds without state. */
  async find(channel: string): Promise<StateSnapshot | undefined> {
    return this.#deps.kinds.of(channel).state ? this.read(channel) : undefined;
  }

  /** The state as it is. Throws `forbidden` for kinds without state, and `unknown_channel`. */
  async read(channel: string): Promise<StateSnapshot> {
    if (!this.#deps.kinds.of(channel).state) throw noState();
    return toSnapshot(await this.#store.read(channel));
  }

  /** Undefined for kinds without state. */
  snapshot(subscriber: Subscriber, channel: string): Promise<StateSnapshot> | undefined {
    return this.#deps.kinds.of(channel).state ? this.#snapshot(subscriber, channel) : undefined;
  }

  async #snapshot(subscriber: Subscriber, channel: string): Promise<StateSnapshot> {
    const local = this.#locals.get(channel);
    local?.hold(subscriber);
    await local?.synced();
    const read = await this.#reads.run(channel, () => this.#read(channel));
    local?.answered(subscriber, read.timestamp);
    return toSnapshot(read);
  }

  /** The changes that a connection missed, which had received everything up to the timestamp, as packets. */
  async missedSince(
    subscriber: Subscriber,
    channels: Iterable<string>,
    timestamp: number,
  ): Promise<MissedChanges[] | undefined> {
    const withState = [...channels].filter((channel) => this.#deps.kinds.of(channel).state);
    const missed = await Promise.all(withState.map((channel) => this.#missedIn(subscriber, channel, timestamp)));
    return missed.includes(undefined) ? undefined : missed.flatMap((packets) => packets ?? []);
  }

  async #missedIn(subscriber: Subscriber, channel: string, timestamp: number): Promise<MissedChanges[] | undefined> {
    const since = Math.max(0, timestamp - latenessMicros);
    const local = this.#locals.get(channel);
    local?.hold(subscriber);
    await local?.synced();
    const read = await this.#store.read(channel, since);
    // Nothing was forgotten if it is 0; the timestamp may be less than that, as callers leave a margin.
    if (read.forgotten > Math.max(0, timestamp)) return undefined;
    local?.answered(subscriber, read.timestamp);
    const changes = changesSince(read, since);
    return changes.length === 0 ? [] : [{ channel, packet: statePacket(channel, read.revision, changes) }];
  }

  resume(subscriber: Subscriber, channel: string): void {
    this.#locals.get(channel)?.resume(subscriber);
  }

  async #read(channel: string): Promise<StoredState> {
    const read = await this.#store.read(channel);
    if (read.entries.size > 0) await this.#index.register(channel);
    // In case that Redis has lost what was planned.
    if (read.nextInMs !== undefined) await this.#expiry.plan(channel, this.#deps.clock.now() + read.nextInMs);
    return read;
  }
}

const noState = (): GatewayError =>
  new GatewayError("forbidden", "State is not enabled for channels of this kind.", { field: "channel" });

/** The value with which the app replaced the requested one. */
const valueIn = (data: string): unknown => (JSON.parse(data) as { value?: unknown } | null)?.value ?? null;

function checkBytes(field: string, text: string, maxBytes: number): void {
  if (Buffer.byteLength(text) > maxBytes)
    throw new GatewayError("payload_too_large", `${field}: must be at most ${maxBytes} bytes`, { field });
}

/** The script wrote each entry from validated input. */
const toSnapshot = ({ revision, entries }: StoredState): StateSnapshot => ({
  revision,
  entries: Object.fromEntries(
    [...entries].map(([key, { json }]) => [key, JSON.parse(json) as StateSnapshot["entries"][string]]),
  ),
});

function changesSince({ entries, removed }: StoredState, since: number): string[] {
  const changed = [...entries].filter(([, { timestamp }]) => timestamp > since);
  return [
    ...[...removed.keys()].map((key) => changeText({ key, value: undefined })),
    ...changed.map(([key, entry]) => changeTo(key, entry)),
  ];
}
