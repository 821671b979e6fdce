import { isDeepStrictEqual } from "node:util";
import type { Kinds } from "../channels/kinds.ts";
import type { Permissions, Principal } from "../channels/permissions.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { Fence } from "../cluster/fence.ts";
import type { Membership } from "../cluster/membership.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import { PendingLeaves } from "./pending-leaves.ts";
import type { MembersStore } from "./members-store.ts";
import type { Member, MembersDiff } from "./members-replica.ts";
import type { ChannelReplica } from "./channel-replica.ts";
import { ChannelReplicas } from "./channel-replicas.ts";
import { LocalDetails, LocalMembers } from "./local-members.ts";

/** Members of a channel. `count` is the number of users, even if `members` is truncated. */
export interface ChannelMembers {
  channel: string;
  members: Member[];
  count: number;
}

export interface MembersDeps {
  store: MembersStore;
  feed: ShardedFeed;
  keys: Keys;
  kinds: Kinds;
  permissions: Pick<Permissions, "checkSubscribe">;
  /** The public part of a subscriber's session. */
  infoOf: (subscriber: Subscriber) => unknown;
  /** Sends a packet to the channel's subscribers on this node. */
  deliver: (channel: string, packet: Buffer) => void;
  incarnation: () => string;
  fence: Fence;
  membership: Membership;
  clock: Clock;
  log: Logger;
}

/** Max members in an answer. */
const maxMembers = 1_000;
/** Max bytes of a connection's data as JSON. */
const maxDataBytes = 1_024;
/** Milliseconds within which changes of a channel are sent together. */
const tickMs = 50;

/**
 * Members of channels whose kind has presence enabled.
 *
 * A user whose `subscribe` was acknowledged is a member in every later answer on any node, and receives every later
 * change. Changes are absolute and ordered: applied to the result of `of`, they give the current members. Members of
 * a dead node are removed when its lease has expired.
 */
export class Members {
  readonly #deps: MembersDeps;
  readonly #local: LocalMembers;
  readonly #details = new LocalDetails();
  readonly #pendingLeaves: PendingLeaves;
  readonly #replicas: ChannelReplicas;
  readonly #changed = new Set<ChannelReplica>();
  #cancelTick: (() => void) | undefined;

  constructor(deps: MembersDeps) {
    this.#deps = deps;
    this.#local = new LocalMembers({
      ...deps,
      mayWrite: () => deps.fence.isOpen,
      detailOf: (channel, user) => this.#details.of(channel, user),
    });
    this.#pendingLeaves = new PendingLeaves(deps.clock);
    this.#replicas = new ChannelReplicas({ ...deps, onChanged: (channel) => this.#onChanged(channel) });
  }

  start(): void {
    this.#local.start();
    this.#replicas.start();
  }

  async stop(): Promise<void> {
    this.#pendingLeaves.endAll();
    await this.#local.stop();
    this.#replicas.stop();
    this.#cancelTick?.();
  }

  /** Rewrites this node's members: Redis may have lost them, or this node has a new name. */
  rewriteAll(): void {
    this.#local.rewriteAll();
  }

  /** A connection subscribed or unsubscribed. */
  change({ subscriber, channel, isSubscribed, mayReturn = false }: SubscriptionChange): void {
    if (!this.#isKept(channel)) return;
    const { userId } = subscriber;
    const name = `${channel.length} ${channel} ${userId}`;
    if (isSubscribed) this.#replicas.retain(channel);
    else this.#replicas.release(channel);
    if (!isSubscribed && mayReturn) return this.#beginAbsence(name, channel, subscriber);
    const hasReturned = isSubscribed && this.#pendingLeaves.cancel(name);
    const info = isSubscribed ? this.#deps.infoOf(subscriber) : undefined;
    this.#details.set(channel, userId, subscriber.id, { info, at: 0 });
    if (hasReturned) this.#local.changeAbsent(channel, userId, -1);
    else this.#local.change(channel, userId, isSubscribed ? 1 : -1);
  }

  /** Its data goes with the connection, but it counts as a member until it must have returned. */
  #beginAbsence(name: string, channel: string, { id, userId }: Subscriber): void {
    const info = this.#details.get(channel, userId, id)?.info;
    const forget = (): void => this.#details.set(channel, userId, id, { at: 0 });
    this.#details.set(channel, userId, id, { info, at: 0 });
    this.#local.changeAbsent(channel, userId, 1);
    const end = (): void => {
      forget();
      this.#local.changeAbsent(channel, userId, -1);
      this.#local.change(channel, userId, -1);
    };
    this.#pendingLeaves.begin(name, end, forget);
  }

  /**
   * Sets what other members are shown of a connection, until it ends; null removes it. Resolves when it is written. Throws
   * `unknown_channel`, `forbidden` for a kind without presence, `payload_too_large`, and `not_subscribed`.
   */
  async setData({ id, userId }: Subscriber, channel: string, data: unknown, isMember: () => boolean): Promise<void> {
    if (!this.#isKept(channel)) throw noPresence();
    if (Buffer.byteLength(canonicalJson(data)) > maxDataBytes)
      throw new GatewayError("payload_too_large", `data: must be at most ${maxDataBytes} bytes`, { field: "data" });
    const replica = await this.#current(channel);
    if (!isMember()) throw new GatewayError("not_subscribed");
    // Later than what is known, whatever the clocks of the nodes say.
    const at = Math.max(this.#deps.clock.now(), replica.members.latestDataOf(userId) + 1);
    const { info } = this.#details.get(channel, userId, id) ?? {};
    this.#details.set(channel, userId, id, { info, data: data ?? undefined, at });
    this.#local.changeDetail(channel, userId);
    await this.#local.flushed(channel);
  }

  /** The public part of the subscriber's session may have changed. Resolves when it is written, or cannot be for now. */
  async infoChanged(subscriber: Subscriber, channels: readonly string[]): Promise<void> {
    const changed = channels.filter((channel) => this.#isKept(channel) && this.#changeInfo(subscriber, channel));
    await Promise.allSettled(changed.map((channel) => this.#local.flushed(channel)));
  }

  #changeInfo(subscriber: Subscriber, channel: string): boolean {
    const { id, userId } = subscriber;
    const { info: previous, data, at = 0 } = this.#details.get(channel, userId, id) ?? {};
    const info = this.#deps.infoOf(subscriber);
    if (isDeepStrictEqual(info, previous)) return false;
    this.#details.set(channel, userId, id, { info, data, at });
    this.#local.changeDetail(channel, userId);
    return true;
  }

  /** Resolves when this node's members are written and its replica receives changes; undefined for kinds without presence. */
  synced(channel: string): Promise<unknown> | undefined {
    if (!this.#isKept(channel)) return undefined;
    return Promise.all([this.#local.flushed(channel), this.#replicas.of(channel)]);
  }

  /** Throws `unknown_channel`, and `forbidden` for a kind without presence; store errors are passed through. */
  async of(channel: string): Promise<ChannelMembers> {
    if (!this.#isKept(channel)) throw noPresence();
    await this.#local.flushed(channel);
    const replica = await this.#current(channel);
    // Nothing may be awaited from here to the acknowledgement, or a change sent in between would be undone by it.
    return { channel, members: replica.members.members(maxMembers), count: replica.members.count };
  }

  /** Like `of`, after checking the client's permission to subscribe. */
  async ofAs(reader: Principal, channel: string, subscriber?: Subscriber): Promise<ChannelMembers> {
    await this.#deps.permissions.checkSubscribe(reader, channel, subscriber);
    return this.of(channel);
  }

  /** The replica with every change that was written before. */
  async #current(channel: string): Promise<ChannelReplica> {
    const [replica, revision] = await Promise.all([this.#replicas.of(channel), this.#deps.store.revision(channel)]);
    await replica.reached(revision);
    return replica;
  }

  #isKept(channel: string): boolean {
    return this.#deps.kinds.of(channel).presence;
  }

  #onChanged(channel: ChannelReplica): void {
    this.#changed.add(channel);
    this.#cancelTick ??= this.#deps.clock.after(tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#cancelTick = undefined;
    for (const channel of this.#changed) {
      if (!this.#deps.fence.isOpen) return this.#tickLater();
      this.#changed.delete(channel);
      this.#tell(channel);
    }
  }

  /** A fenced node sends nothing before it knows which subscribers may still receive it. */
  #tickLater(): void {
    this.#cancelTick = this.#deps.clock.after(tickMs, () => this.#tick());
  }

  #tell({ name, members: replica }: ChannelReplica): void {
    const diff = replica.takeDiff();
    if (diff === undefined) return;
    this.#send(name, diff);
    // Data is always told as an update, also if it was set within the tick of the join.
    const updated = diff.joined.filter(({ data }) => data !== undefined);
    if (updated.length > 0) this.#send(name, { joined: [], left: [], updated });
  }

  #send(name: string, diff: MembersDiff): void {
    this.#deps.deliver(name, Buffer.from(`42${JSON.stringify(["presence", { channel: name, ...diff }])}`));
  }
}

const noPresence = (): GatewayError =>
  new GatewayError("forbidden", "Presence is not enabled for channels of this kind.", { field: "channel" });
