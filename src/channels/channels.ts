import { GatewayError, isTemporary } from "../protocol/errors.ts";
import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type {
  ChannelHistory,
  HistoryQuery,
  Restored,
  Subscription,
  SubscriptionRecords,
  TakeSnapshot,
} from "./answers.ts";
import { renewEveryMs, type ChannelLog } from "./channel-log.ts";
import { packetOf, type Feed } from "./feed.ts";
import { conflationOf } from "./conflation.ts";
import type { Beginning, DeliveryTrail, RecentDeliveries } from "./delivery-trail.ts";
import type { FeedMessage } from "./feed-message.ts";
import { FollowedChannel, type FollowedChannelDeps } from "./followed-channel.ts";
import { FollowedChannels } from "./followed-channels.ts";
import { HeldMessages } from "./held-messages.ts";
import { Holds, type Released } from "./holds.ts";
import type { Kinds } from "./kinds.ts";
import type { Permissions, Reader } from "./permissions.ts";
import type { Published, PublishRequest } from "./publication.ts";
import { publishWithin, type PublishDeps } from "./publish-within.ts";
import { Reads } from "./reads.ts";
import { mergeMissed } from "./recovery.ts";
import { Sequencer, type GapOutcome } from "./sequencer.ts";
import type { Deliver, Subscriber } from "./subscribers.ts";
import { Subscriptions, type Claim, type SubscriptionChange } from "./subscriptions.ts";

export interface ChannelsOptions {
  /** @default 128 */
  subscriptionsPerConnection: number;
  /** Milliseconds a channel without subscribers stays followed, so that a reload does not cost a round. @default 5000 */
  lingerMs?: number;
}

export interface ChannelsDeps extends Pick<PublishDeps, "limitOf"> {
  kinds: Kinds;
  permissions: Permissions;
  log: ChannelLog;
  feed: Feed;
  deliver: Deliver;
  /** Tells a subscriber that a subscription was taken from it. */
  tellUnsubscribed: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  /** Absent: nobody comes back. */
  records?: SubscriptionRecords;
  /** Present on a Cluster, where a stamp alone does not tell what a client has read. */
  recent?: RecentDeliveries | undefined;
  /** What else the answer to a subscription waits for. */
  settled?: (channel: string) => Promise<void>;
  /** By kind. */
  snapshots: ReadonlyMap<string, TakeSnapshot>;
  /** False while this node may not deliver (`cluster/fence.ts`); `repair` is to be called when it may again. */
  mayDeliver: () => boolean;
  clock: Clock;
  logger: Logger;
  onGap: (outcome: GapOutcome) => void;
  /** So many deliveries were left out, because a later publication of the channel made them needless. */
  onConflated: (deliveryCount: number) => void;
  onWatched: (channelCount: number) => void;
}

/** Milliseconds until a repair that failed for want of the store is tried again. */
const repairAgainMs = 500;
/** Milliseconds until it is looked again whether this node may deliver. */
const flowAgainMs = 50;

/**
 * Channels of this node: who reads them here, and everybody's way to publish. Order, recovery and what happens to gaps
 * are promised in `channel-log.ts`, `sequencer.ts` and `holds.ts`.
 */
export class Channels {
  readonly #deps: ChannelsDeps;
  readonly #followed: FollowedChannels;
  readonly #subscriptions: Subscriptions;
  readonly #reads: Reads;
  readonly #holds = new Holds();
  readonly #sequencer: Sequencer;
  /** Packets without a place in the log that came while this node may not deliver. */
  readonly #live = new HeldMessages<{ channel: string; packet: Buffer }>();
  /** The same for all. */
  readonly #followedDeps: FollowedChannelDeps;
  readonly #listeners: ((change: SubscriptionChange) => void)[] = [];
  #cancelRenewal: (() => void) | undefined;

  constructor(deps: ChannelsDeps, { subscriptionsPerConnection, lingerMs = 5_000 }: ChannelsOptions) {
    const { clock, log, onGap, mayDeliver } = deps;
    this.#deps = deps;
    this.#reads = new Reads(deps);
    this.#followed = new FollowedChannels({ ...deps, lingerMs, follow: (channel) => this.#follow(channel) });
    this.#subscriptions = new Subscriptions(subscriptionsPerConnection, (change) => {
      for (const listener of this.#listeners) listener(change);
    });
    this.#sequencer = new Sequencer({
      log,
      onGap,
      mayDeliver,
      channels: () => this.#followed.all(),
      lost: (channel, subscribers) => this.#tellLost(channel, subscribers),
      later: (run) => void clock.after(repairAgainMs, run),
    });
    this.#followedDeps = { ...deps, holds: this.#holds, receive: this.#sequencer.receive };
  }

  async start(): Promise<void> {
    this.#deps.feed.onRestored(() => this.#sequencer.repair());
    // Where Redis has begun anew, what this node was sent says whether it still has all of it.
    this.#deps.log.onNewRun(() => this.#sequencer.repair());
    this.#cancelRenewal = this.#deps.clock.every(renewEveryMs, () => this.#renew());
    await this.#sequencer.begin();
  }

  stop(): void {
    this.#cancelRenewal?.();
    this.#followed.close();
  }

  /** Throws `unknown_channel`, `rate_limited`, `conflict`; store errors as they come. */
  publish(request: PublishRequest): Promise<Published> {
    return publishWithin(this.#deps, request);
  }

  /** All in one round trip; each has its own outcome, in order. */
  publishMany(requests: readonly PublishRequest[]): Promise<(Published | Error)[]> {
    return Promise.all(requests.map((request) => this.publish(request).catch(asError)));
  }

  /** Checks the client's right to publish, then publishes. */
  async publishAs(reader: Reader, request: PublishRequest): Promise<Published> {
    this.#deps.permissions.checkPublish(reader, request.channel);
    return this.publish(request);
  }

  /** To the subscribers of this node, now, without a place in the log. */
  deliverLive(channel: string, event: string, data: string): void {
    this.#deps.kinds.of(channel);
    const head = `{"channel":${JSON.stringify(channel)},"event":${JSON.stringify(event)},"data":${data}`;
    const packet = `42["publication",${head},"publishedAt":${this.#deps.clock.now()}}]`;
    this.deliverPacket(channel, Buffer.from(packet));
  }

  /** The same for a packet that is no publication. */
  deliverPacket(channel: string, packet: Buffer): void {
    if (this.#deps.mayDeliver()) this.#followed.get(channel)?.deliverLive(packet);
    else this.#live.add({ channel, packet });
  }

  /** The last `limit` publications, or all after `since` up to `limit`; none where `since` is not of this log. */
  history(channel: string, query: HistoryQuery): Promise<ChannelHistory> {
    return this.#reads.history(channel, query);
  }

  /** The same after checking the client's right to read the channel. */
  async historyAs(reader: Reader, channel: string, query: HistoryQuery): Promise<ChannelHistory> {
    await this.#deps.permissions.checkSubscribe(reader, channel);
    return this.#reads.history(channel, query);
  }

  /**
   * Subscribes after checking the right to. Publications follow once the answer has left. Throws `forbidden`,
   * `unknown_channel`, `subscription_limit`, and `not_subscribed` where it was unsubscribed meanwhile.
   */
  async subscribe(subscriber: Subscriber, reader: Reader, channel: string, since?: Position): Promise<Subscription> {
    await this.#deps.permissions.checkSubscribe(reader, channel);
    return this.follow(subscriber, reader.userId, channel, since);
  }

  /** The same without asking for permission: for channels that the server itself subscribes. */
  async follow(subscriber: Subscriber, userId: string, channel: string, since?: Position): Promise<Subscription> {
    const claim = this.#subscriptions.claim(subscriber, channel);
    this.#holds.begin(subscriber, this.stampOf(subscriber));
    try {
      const isFirst = this.#followed.get(channel) === undefined;
      const followed = await this.#followed.joined(channel);
      this.#subscriptions.check(subscriber, channel, claim);
      followed.enter(subscriber);
      // What was read for the first to come is as new as what it would be to read it again.
      const present = isFirst ? followed.position : undefined;
      const answer = this.#reads.answer(channel, userId, { since, present });
      const [subscription] = await Promise.all([answer, this.#deps.settled?.(channel)]);
      await this.#keep(subscriber, channel, claim, subscription);
      this.#holds.answer(subscriber, channel, subscription);
      return followed.isConflated ? { ...subscription, conflated: true } : subscription;
    } catch (error) {
      if (this.#subscriptions.holds(subscriber, channel, claim)) this.#refuse(subscriber, channel, claim);
      throw error;
    } finally {
      claim.pending -= 1;
      // The acknowledgement leaves within this turn of the event loop; the flow begins behind it.
      setImmediate(() => this.#flow(subscriber));
    }
  }

  /**
   * Restores the subscriptions of a connection. `begun`: the position each began at; `stamp`: that of the last publication
   * the client received; `read`: positions that a trail proves instead (`trailOf`). Checks permissions again. Undefined, with
   * nothing subscribed, if anything missed is gone or no longer permitted, or the stamp was never assigned. Rejects, with
   * nothing subscribed, if this is unknown at the moment.
   */
  async restore(
    subscriber: Subscriber,
    reader: Reader,
    begun: ReadonlyMap<string, Position>,
    stamp: number,
    read?: ReadonlyMap<string, Position>,
  ): Promise<Restored | undefined> {
    this.#holds.begin(subscriber, 0);
    const { mark } = this;
    try {
      const channels = [...begun.keys()];
      await Promise.all(channels.map((channel) => this.#deps.permissions.checkSubscribe(reader, channel)));
      await Promise.all([...begun].map(([channel, position]) => this.#enter(subscriber, channel, position)));
      const [upTo, latest, ...slices] = await Promise.all([
        this.#deps.log.lastStamp(),
        this.#deps.log.latestStamp(),
        ...[...begun].map(([channel, position]) => this.#reads.missed(channel, position, stamp, read?.get(channel))),
      ]);
      const missed = stamp > latest ? undefined : mergeMissed(slices, upTo);
      if (missed === undefined) return this.leave(subscriber);
      for (const [channel, answered] of missed.answered) this.#holds.answer(subscriber, channel, answered);
      const last = Math.max(stamp, missed.entries.at(-1)?.stamp ?? 0);
      const packets = missed.entries.map(packetOf);
      const { answered: positions, sent } = missed;
      return { packets, stamp: last, positions, missed: sent, mark, flow: () => this.#flow(subscriber) };
    } catch (error) {
      this.leave(subscriber);
      if (error instanceof GatewayError && !isTemporary(error.code)) return undefined;
      throw error;
    }
  }

  /**
   * False where there was no such subscription. Resolves when the subscriber will not come back to it; where the store
   * cannot be told, it rejects and the subscription stands.
   */
  async unsubscribe(subscriber: Subscriber, channel: string): Promise<boolean> {
    const claim = this.#subscriptions.get(subscriber, channel);
    if (claim === undefined) return false;
    const { begun } = claim;
    claim.begun = undefined;
    try {
      await this.#deps.records?.drop(subscriber, channel);
    } catch (error) {
      claim.begun ??= begun;
      this.#deps.records?.rewrite(subscriber);
      throw error;
    }
    return this.#end(subscriber, channel);
  }

  /** The reader has another token: what that does not grant is taken away, and the subscriber is told so. */
  recheck(subscriber: Subscriber, reader: Reader): void {
    const { permissions } = this.#deps;
    const ended = this.channelsOf(subscriber).filter((channel) => !permissions.isStillGranted(reader, channel));
    for (const channel of ended) this.takeAway(subscriber, channel, new GatewayError("forbidden"));
  }

  /** Ends a subscription and tells the subscriber why. */
  takeAway(subscriber: Subscriber, channel: string, error: GatewayError): void {
    if (!this.#end(subscriber, channel)) return;
    this.#deps.records?.rewrite(subscriber);
    this.#deps.tellUnsubscribed(subscriber, channel, error);
  }

  /** The subscriber is gone; `mayReturn`: it was cut off. */
  leave(subscriber: Subscriber, mayReturn = false): undefined {
    this.#holds.forget(subscriber);
    for (const channel of this.#subscriptions.of(subscriber)) this.#end(subscriber, channel, mayReturn);
  }

  /** The subscriber's channels that were answered, each with the position its subscription began at. */
  begunOf(subscriber: Subscriber): Map<string, Position> {
    return this.#subscriptions.begunOf(subscriber);
  }

  channelsOf(subscriber: Subscriber): string[] {
    return this.#subscriptions.of(subscriber);
  }

  /** All of the subscriber's channels that is stamped up to here has been passed to it, and nothing that came later. */
  stampOf(subscriber: Subscriber): number {
    const held = this.#holds.stampOf(subscriber);
    if (held !== undefined) return held;
    const own = this.channelsOf(subscriber).map((channel) => this.#followed.get(channel)?.position?.stamp ?? 0);
    return Math.min(this.#sequencer.lastStamp, Math.max(0, ...own));
  }

  /** How many deliveries of this node came before; for `trailOf`. */
  get mark(): number {
    return this.#deps.recent?.mark ?? 0;
  }

  /** The end of what the subscriber was sent, to tell later what of it was read. Undefined where stamps tell. */
  trailOf(subscriber: Subscriber, beginning: Beginning): DeliveryTrail | undefined {
    return this.#deps.recent?.trailOf(this.#followed.standings(this.begunOf(subscriber)), beginning);
  }

  /** The last stamp that this node has passed on. */
  get lastStamp(): number {
    return this.#sequencer.lastStamp;
  }

  /** Channels of a kind with subscribers on this node. */
  *watched(kind: string): Iterable<string> {
    for (const { name } of this.#followed.watched(kind)) yield name;
  }

  onSubscription(listener: (change: SubscriptionChange) => void): void {
    this.#listeners.push(listener);
  }

  /** Every channel may have a gap: the feed was away, or this node might not deliver. */
  repair(): void {
    for (const { channel, packet } of this.#live.take()) this.deliverPacket(channel, packet);
    this.#sequencer.repair();
  }

  #follow(channel: string): FollowedChannel {
    const { history, conflateMs } = this.#deps.kinds.of(channel);
    const kind = { history, conflation: conflationOf(channel, conflateMs) };
    return new FollowedChannel(channel, kind, this.#followedDeps);
  }

  #end(subscriber: Subscriber, channel: string, mayReturn = false): boolean {
    if (!this.#subscriptions.end(subscriber, channel, mayReturn)) return false;
    this.#followed.leave(channel, subscriber);
    return true;
  }

  async #enter(subscriber: Subscriber, channel: string, begun: Position): Promise<void> {
    const claim = this.#subscriptions.claim(subscriber, channel);
    const followed = await this.#followed.joined(channel);
    this.#subscriptions.check(subscriber, channel, claim);
    followed.enter(subscriber);
    claim.begun = begun;
    claim.pending -= 1;
  }

  async #keep(subscriber: Subscriber, channel: string, claim: Claim, { epoch, offset }: Position): Promise<void> {
    const before = claim.begun;
    claim.begun = { epoch, offset };
    try {
      await this.#deps.records?.keep(subscriber, channel, claim.begun);
      this.#subscriptions.check(subscriber, channel, claim);
    } catch (error) {
      claim.begun = before;
      throw error;
    }
  }

  /** What it had before stays as it was. */
  #refuse(subscriber: Subscriber, channel: string, { pending, begun }: Claim): void {
    if (begun === undefined && pending === 1) this.#end(subscriber, channel);
    else this.#holds.refuse(subscriber, channel);
    this.#deps.records?.rewrite(subscriber);
  }

  /** Lets what was held go on, behind what was answered: neither leaves a node that may not deliver. */
  #flow(subscriber: Subscriber): void {
    if (!this.#deps.mayDeliver()) return void this.#deps.clock.after(flowAgainMs, () => this.#flow(subscriber));
    const released = this.#holds.end(subscriber);
    if (released === undefined) return;
    // First of all what has a hole: a part of it must not be read before its reader is told.
    for (const [channel, answered] of released.answered) this.#goOn(subscriber, channel, answered);
    for (const channel of released.overflowed) this.#tellLost(channel, [subscriber]);
    for (const { channel, message } of released.items) {
      if (this.#isUnread(subscriber, message, channel, released)) this.#deps.deliver([subscriber], message.packet);
    }
  }

  #isUnread(subscriber: Subscriber, message: FeedMessage, channel: string, released: Released): boolean {
    if (!this.#subscriptions.has(subscriber, channel)) return false;
    const answered = released.answered.get(channel);
    return answered === undefined || (message.epoch === answered.epoch && message.offset > answered.offset);
  }

  #goOn(subscriber: Subscriber, channel: string, answered: Position | undefined): void {
    const followed = this.#followed.get(channel);
    if (followed === undefined || !this.#subscriptions.has(subscriber, channel)) return;
    if (!followed.goOn(subscriber, answered)) this.#tellLost(channel, [subscriber]);
    if (answered !== undefined && answered.epoch !== followed.position?.epoch) this.#sequencer.repair();
  }

  #tellLost(channel: string, subscribers: readonly Subscriber[]): void {
    const error = new GatewayError("unavailable", "Publications were lost. Subscribe again.");
    for (const subscriber of subscribers) this.takeAway(subscriber, channel, error);
  }

  #renew(): void {
    const watched = [...this.#followed.watched()].map(({ name }) => name);
    this.#deps.log.renew(watched).catch((error: unknown) => {
      this.#deps.logger.warn({ err: error }, "renewing channel positions failed");
    });
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
