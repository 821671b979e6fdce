import { GatewayError, isTemporary } from "../protocol/errors.ts";
import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type {
  ChannelHistory,
  ChannelStates,
  HistoryQuery,
  RestoredSubscriptions,
  Subscription,
  TakeSnapshot,
  UncheckedStart,
} from "./subscription.ts";
import { renewEveryMs, type ChannelLog } from "./channel-log.ts";
import type { Feed } from "./feed.ts";
import { LiveDelivery } from "./live-delivery.ts";
import { BufferRelease } from "./buffer-release.ts";
import type { DeliveryStart, DeliveryTrail, RecentDeliveries } from "./delivery-trail.ts";
import { LocalChannel, type LocalChannelDeps } from "./local-channel.ts";
import { LocalChannels } from "./local-channels.ts";
import { SubscribeBuffers } from "./subscribe-buffers.ts";
import type { Kinds } from "./kinds.ts";
import { allowPublication, readAllowed, refusedChannels, type Permissions, type Principal } from "./permissions.ts";
import type { EphemeralResult, Published, PublishedBy, PublishRequest } from "./publication.ts";
import { LimitedOrder, publishEphemeralWithin, publishWithin, type PublishDeps } from "./publication-limit.ts";
import { LogReader } from "./log-reader.ts";
import { Loss, type LossDeps } from "./loss.ts";
import { Restoration } from "./restoration.ts";
import { GapRepair, type GapOutcome } from "./gap-repair.ts";
import type { Deliver, Subscriber } from "./subscribers.ts";
import type { StoredStart } from "./stored-start.ts";
import { Subscribing, type SubscribingDeps } from "./subscribing.ts";
import { Subscriptions, type LocalSubscription, type SubscriptionChange } from "./subscriptions.ts";

export interface ChannelsOptions {
  subscriptionsPerConnection: number;
  /** Milliseconds a channel without subscribers stays local, so that a reload does not cost a round. @default 5000 */
  lingerMs?: number;
}

export interface ChannelsDeps
  extends
    Pick<PublishDeps, "limitOf">,
    Pick<LocalChannelDeps, "onDelivered">,
    Pick<LossDeps, "notifyUnsubscribed" | "startAnew">,
    Pick<SubscribingDeps, "records" | "beforeAcknowledged"> {
  kinds: Kinds;
  permissions: Permissions;
  log: ChannelLog;
  feed: Feed;
  deliver: Deliver;
  /** Set on a Cluster only, where a timestamp alone does not determine what a client has received. */
  recent?: RecentDeliveries | undefined;
  /** By kind. */
  snapshots: ReadonlyMap<string, TakeSnapshot>;
  /** Omit if no kind has state. */
  states?: ChannelStates | undefined;
  /** False while this node may not deliver (`cluster/fence.ts`); call `repair` when it may again. */
  mayDeliver: () => boolean;
  clock: Clock;
  logger: Logger;
  onGap: (outcome: GapOutcome) => void;
  /** Called with the number of deliveries that conflation replaced by a later publication. */
  onConflated: (deliveryCount: number) => void;
  onChannelCount: (channelCount: number) => void;
}

/** Milliseconds until a failed gap repair is retried. */
const repairRetryMs = 500;

/**
 * Publishing to channels, and the subscriptions of this node's connections. Ordering, recovery and gap handling are
 * specified in `channel-log.ts`, `gap-repair.ts` and `subscribe-buffers.ts`.
 */
export class Channels {
  readonly #deps: ChannelsDeps;
  readonly #publishing: PublishDeps;
  readonly #local: LocalChannels;
  readonly #subscriptions: Subscriptions;
  readonly #logReader: LogReader;
  readonly #buffers = new SubscribeBuffers();
  readonly #gapRepair: GapRepair;
  readonly #release: BufferRelease;
  readonly #live: LiveDelivery;
  readonly #subscribing: Subscribing;
  readonly #restoration: Restoration;
  /** Shared by all local channels. */
  readonly #localChannelDeps: LocalChannelDeps;
  readonly #listeners: ((change: SubscriptionChange) => void)[] = [];
  #cancelRenewal: (() => void) | undefined;

  constructor(deps: ChannelsDeps, { subscriptionsPerConnection, lingerMs = 5_000 }: ChannelsOptions) {
    this.#deps = deps;
    this.#publishing = { ...deps, inOrder: new LimitedOrder() };
    this.#logReader = new LogReader(deps);
    this.#local = new LocalChannels({
      ...deps,
      lingerMs,
      onCount: deps.onChannelCount,
      mayLeave: (channel) => this.#gapRepair.mayLeave(channel),
      create: (channel) => new LocalChannel(channel, deps.kinds.of(channel), this.#localChannelDeps),
    });
    this.#subscriptions = new Subscriptions(deps.kinds, subscriptionsPerConnection, (change) => {
      for (const listener of this.#listeners) listener(change);
    });
    const loss = new Loss({
      ...deps,
      subscriptions: this.#subscriptions,
      buffers: this.#buffers,
      forceUnsubscribe: (subscriber, channel, error) => this.forceUnsubscribe(subscriber, channel, error),
    });
    this.#gapRepair = new GapRepair({
      ...deps,
      channels: () => this.#local.all(),
      onLost: (channel, subscribers, from) => loss.handle(channel, subscribers, from),
      continues: (channel, subscriber) => this.#subscriptions.subscribedBy(subscriber, channel) === "gateway",
      retryLater: (run) => void deps.clock.after(repairRetryMs, run),
    });
    const localChannel = (channel: string): LocalChannel | undefined => this.#local.get(channel);
    this.#live = new LiveDelivery({ ...deps, localChannel });
    this.#release = new BufferRelease({
      ...deps,
      buffers: this.#buffers,
      subscriptions: this.#subscriptions,
      localChannel,
      onLost: (channel, subscriber, from) => loss.handle(channel, [subscriber], from),
      onOtherEpoch: () => this.#gapRepair.repair(),
    });
    const parts = {
      ...deps,
      buffers: this.#buffers,
      subscriptions: this.#subscriptions,
      local: this.#local,
      logReader: this.#logReader,
      release: (subscriber: Subscriber) => this.#release.release(subscriber),
    };
    this.#restoration = new Restoration(parts);
    this.#subscribing = new Subscribing({
      ...parts,
      timestampOf: (subscriber) => this.timestampOf(subscriber),
      end: (subscriber, channel) => this.#end(subscriber, channel),
    });
    this.#localChannelDeps = {
      ...deps,
      buffers: this.#buffers,
      receive: this.#gapRepair.receive,
      reset: this.#gapRepair.reset,
    };
  }

  async start(): Promise<void> {
    this.#deps.feed.onRestored(() => this.#gapRepair.repair());
    // When Redis restarts, what this node received shows whether Redis still has everything.
    this.#deps.log.onNewRun(() => this.#gapRepair.repair());
    this.#cancelRenewal = this.#deps.clock.every(renewEveryMs, () => this.#renew());
    await this.#gapRepair.begin();
  }

  stop(): void {
    this.#cancelRenewal?.();
    this.#local.close();
  }

  /** Throws `unknown_channel`, `rate_limited` or `conflict`; store errors are passed through. */
  publish(request: PublishRequest): Promise<Published> {
    return publishWithin(this.#publishing, request);
  }

  /** Sends to current subscribers only. Throws `unknown_channel`, `rate_limited`; store errors are passed through. */
  publishEphemeral(request: PublishRequest): Promise<EphemeralResult> {
    return publishEphemeralWithin(this.#publishing, request, () => this.#deps.clock.now());
  }

  /** Checks the client's permission to publish, then publishes; `isEphemeral`: to current subscribers only. */
  async publishAs<E extends boolean = false>(principal: Principal, request: PublishRequest, by: PublishedBy<E> = {}) {
    const pending = allowPublication(this.#deps.permissions, principal, request, by.subscriber);
    const allowed = pending instanceof Promise ? await pending : pending;
    return (by.isEphemeral === true ? this.publishEphemeral(allowed) : this.publish(allowed)) as Promise<
      E extends true ? EphemeralResult : Published
    >;
  }

  /** Removes the history, or all that is kept of the channel; subscribers must subscribe again. Throws `unknown_channel`. */
  async clearHistory(channel: string, isErased = false): Promise<number> {
    this.#deps.kinds.of(channel);
    return isErased ? this.#deps.log.erase(channel) : this.#deps.log.clear(channel);
  }

  /** Sends a publication without an offset to the subscribers on this node. Throws `unknown_channel` and `unavailable`. */
  deliverLive(channel: string, event: string, data: string): void {
    this.#live.deliverPublication(channel, event, data);
  }

  /** Sends a packet to the subscribers on this node. */
  deliverPacket(channel: string, packet: Buffer): void {
    this.#live.deliverPacket(channel, packet);
  }

  /** The last `limit` publications, or at most `limit` after `since`; none if `since` belongs to another log. */
  history(channel: string, query: HistoryQuery): Promise<ChannelHistory> {
    return this.#logReader.history(channel, query);
  }

  /** Like `history`, after checking the client's permission to subscribe. */
  historyAs(principal: Principal, channel: string, query: HistoryQuery, subscriber?: Subscriber) {
    const read = () => this.#logReader.history(channel, query);
    return readAllowed(this.#deps.permissions, principal, channel, subscriber, read);
  }

  /**
   * Checks the permission, then subscribes. Publications follow after the acknowledgement has left. Throws `forbidden`,
   * `unknown_channel`, `subscription_limit`, and `not_subscribed` if the client unsubscribed in the meantime.
   */
  async subscribe(
    subscriber: Subscriber,
    principal: Principal,
    channel: string,
    since?: Position,
  ): Promise<Subscription> {
    const check = () => this.#deps.permissions.checkSubscribe(principal, channel, subscriber);
    const confirm = (await check()) === "record" ? check : undefined;
    return this.subscribeUnchecked(subscriber, channel, { since, confirm });
  }

  /** Subscribes this node to a channel that will have a subscriber in a moment, so that round trips run in parallel. */
  prepare(channel: string): void {
    this.#local.prepare(channel);
  }

  /** Like `subscribe`, without a permission check: for channels that the gateway or its app subscribes. */
  subscribeUnchecked(subscriber: Subscriber, channel: string, start: UncheckedStart = {}): Promise<Subscription> {
    return this.#subscribing.subscribe(subscriber, channel, start);
  }

  /** Buffers everything for a subscriber, also beyond the answers to its subscriptions, until the returned function is called. */
  hold(subscriber: Subscriber): () => void {
    this.#buffers.begin(subscriber, this.timestampOf(subscriber));
    return () => this.#release.release(subscriber);
  }

  /** See `Restoration`. Nothing is subscribed if it returns undefined or rejects. */
  async restore(
    subscriber: Subscriber,
    principal: Principal,
    starts: ReadonlyMap<string, StoredStart>,
    timestamp: number,
    read?: ReadonlyMap<string, Position>,
  ): Promise<RestoredSubscriptions | undefined> {
    try {
      const restored = await this.#restoration.restore(subscriber, principal, starts, timestamp, read);
      return restored ?? this.disconnect(subscriber);
    } catch (error) {
      this.disconnect(subscriber);
      if (error instanceof GatewayError && !isTemporary(error.code)) return undefined;
      throw error;
    }
  }

  /**
   * Returns false if there was no such subscription. Resolves when recovery no longer restores it; rejects, and the
   * subscription remains, if that cannot be stored.
   */
  async unsubscribe(subscriber: Subscriber, channel: string): Promise<boolean> {
    const subscription = this.#subscriptions.get(subscriber, channel);
    if (subscription === undefined) return false;
    // Again if a backend has subscribed the connection meanwhile.
    do await this.#forgetStart(subscriber, channel, subscription);
    while (subscription.start !== undefined);
    return this.#subscriptions.isCurrent(subscriber, channel, subscription) && this.#end(subscriber, channel);
  }

  async #forgetStart(subscriber: Subscriber, channel: string, subscription: LocalSubscription): Promise<void> {
    const { start } = subscription;
    subscription.start = undefined;
    try {
      await this.#deps.records?.remove(subscriber, channel);
    } catch (error) {
      subscription.start ??= start;
      this.#deps.records?.rewrite(subscriber);
      throw error;
    }
  }

  /**
   * Ends the subscriptions that the permissions of the principal, as it is in the end, do not allow, and notifies the
   * subscriber: rights that were taken may be given back meanwhile.
   */
  async recheckPermissions(subscriber: Subscriber, principalNow: () => Principal): Promise<void> {
    const principal = principalNow();
    const refused = await refusedChannels(this.#deps, principal, subscriber, this.#subscriptions.byRuleOf(subscriber));
    if (principalNow() !== principal) return this.recheckPermissions(subscriber, principalNow);
    for (const channel of refused) this.forceUnsubscribe(subscriber, channel, new GatewayError("forbidden"));
  }

  /** Ends a subscription. The subscriber is notified of the reason, or answered with it if its first request is pending. */
  forceUnsubscribe(subscriber: Subscriber, channel: string, error: GatewayError): void {
    const subscription = this.#subscriptions.get(subscriber, channel);
    if (subscription === undefined) return;
    subscription.endedBy = error;
    this.#end(subscriber, channel);
    this.#deps.records?.rewrite(subscriber);
    if (subscription.isAcknowledged) this.#deps.notifyUnsubscribed(subscriber, channel, error);
  }

  /** Ends all subscriptions of a disconnected subscriber. `mayReturn`: the connection was lost and may be recovered. */
  disconnect(subscriber: Subscriber, mayReturn = false): undefined {
    this.#buffers.discard(subscriber);
    for (const channel of this.#subscriptions.channelsOf(subscriber)) this.#end(subscriber, channel, mayReturn);
  }

  startsOf(subscriber: Subscriber): Map<string, StoredStart> {
    return this.#subscriptions.startsOf(subscriber);
  }

  channelsOf(subscriber: Subscriber): string[] {
    return this.#subscriptions.channelsOf(subscriber);
  }

  /** The subscriber was sent everything of its channels up to this timestamp, and nothing later. */
  timestampOf(subscriber: Subscriber): number {
    const held = this.#buffers.timestampOf(subscriber);
    if (held !== undefined) return held;
    let own = 0;
    for (const channel of this.#subscriptions.channelsOf(subscriber))
      own = Math.max(own, this.#local.get(channel)?.position?.timestamp ?? 0);
    return Math.min(this.#gapRepair.lastTimestamp, own);
  }

  /** Deliveries of this node so far, as a reference point for `trailOf`. */
  get deliveryCount(): number {
    return this.#deps.recent?.count ?? 0;
  }

  /** The last deliveries to the subscriber, to determine later what it received. Undefined if timestamps suffice. */
  trailOf(subscriber: Subscriber, beginning: DeliveryStart): DeliveryTrail | undefined {
    return this.#deps.recent?.trailOf(this.#local.trailChannels(this.startsOf(subscriber)), beginning);
  }

  get lastTimestamp(): number {
    return this.#gapRepair.lastTimestamp;
  }

  /** The channels to which this node is subscribed. */
  get local(): Pick<LocalChannels, "get" | "withSubscribers"> {
    return this.#local;
  }

  onSubscription(listener: (change: SubscriptionChange) => void): void {
    this.#listeners.push(listener);
  }

  /** Checks every channel for gaps: after a lost feed connection, or when the fence has opened. */
  repair(): void {
    this.#live.resume();
    this.#gapRepair.repair();
  }

  #end(subscriber: Subscriber, channel: string, mayReturn = false): boolean {
    if (!this.#subscriptions.end(subscriber, channel, mayReturn)) return false;
    this.#local.detach(channel, subscriber);
    return true;
  }

  #renew(): void {
    const { log, logger } = this.#deps;
    const names = [...this.#local.withSubscribers()].map(({ name }) => name);
    log.renew(names).catch((err: unknown) => logger.warn({ err }, "renewing channel positions failed"));
  }
}
