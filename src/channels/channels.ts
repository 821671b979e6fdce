import { GatewayError } from "../protocol/errors.ts";
import { kindOf } from "../protocol/names.ts";
import type { Position } from "../protocol/scalars.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import { renewEveryMs, type ChannelLog, type LogSlice } from "./channel-log.ts";
import type { Feed } from "./feed.ts";
import { FollowedChannel, type GapOutcome } from "./followed-channel.ts";
import type { Kinds } from "./kinds.ts";
import type { Permissions, Reader } from "./permissions.ts";
import type { Publication, Published, PublishRequest } from "./publication.ts";
import { recoveryFrom } from "./recovery.ts";
import type { Deliver, Subscriber } from "./subscribers.ts";

/** State of a kind at a position: a subscriber gets it and then exactly the publications after `at`. */
export interface Snapshot {
  value: object;
  at: Position;
}

/** Reads the snapshot of one channel; throws a GatewayError where there is none to be had. */
export type TakeSnapshot = (channel: string, userId: string) => Promise<Snapshot>;

/** What `subscribe` answers. */
export interface Subscription {
  channel: string;
  epoch: string;
  offset: number;
  recovered: boolean;
  publications: Publication[];
  snapshot?: object;
}

export interface ChannelHistory {
  channel: string;
  epoch: string;
  offset: number;
  publications: Publication[];
}

/** Somebody began or ceased to read a channel on this node. */
export type SubscriptionListener = (change: { subscriber: Subscriber; channel: string; isSubscribed: boolean }) => void;

export interface ChannelsOptions {
  /** @default 128 */
  subscriptionsPerConnection: number;
  /** Milliseconds a channel without subscribers stays followed, so that a reload does not cost a round. @default 5000 */
  lingerMs?: number;
}

export interface ChannelsDeps {
  kinds: Kinds;
  permissions: Permissions;
  log: ChannelLog;
  feed: Feed;
  deliver: Deliver;
  /** Tells a subscriber that a subscription was taken from it. */
  tellUnsubscribed: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
  /** By kind. */
  snapshots: ReadonlyMap<string, TakeSnapshot>;
  clock: Clock;
  logger: Logger;
  onGap: (outcome: GapOutcome) => void;
  onWatched: (channelCount: number) => void;
}

/** Most channels that linger; beyond, a channel is let go at once, so that churn cannot pile up subscriptions. */
const mostLingering = 1_000;

/** Milliseconds until a channel whose repair failed for want of the store is tried again. */
const repairAgainMs = 500;

/**
 * Channels of this node: who reads them here, and everybody's way to publish. Order, recovery and what happens to gaps
 * are promised in `channel-log.ts`, `followed-channel.ts` and `entrants.ts`.
 */
export class Channels {
  readonly #deps: ChannelsDeps;
  readonly #options: Required<ChannelsOptions>;
  readonly #followed = new Map<string, FollowedChannel>();
  readonly #lingering = new Map<string, () => void>();
  /** Channels of each subscriber; the value tells one subscription from a later one to the same channel. */
  readonly #subscriptions = new Map<Subscriber, Map<string, symbol>>();
  readonly #listeners: SubscriptionListener[] = [];
  #cancelRenewal: (() => void) | undefined;

  constructor(deps: ChannelsDeps, options: ChannelsOptions) {
    this.#deps = deps;
    this.#options = { lingerMs: 5_000, ...options };
  }

  start(): void {
    this.#deps.feed.onRestored(() => this.repairAll());
    this.#cancelRenewal = this.#deps.clock.every(renewEveryMs, () => this.#renew());
  }

  stop(): void {
    this.#cancelRenewal?.();
    for (const cancel of this.#lingering.values()) cancel();
    for (const followed of this.#followed.values()) followed.close();
    this.#followed.clear();
  }

  /** Throws `unknown_channel`, `conflict`, `payload_too_large`; store errors as they come. */
  async publish(request: PublishRequest): Promise<Published> {
    return this.#deps.log.publish(request, this.#deps.kinds.of(request.channel).history);
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
    const token = this.#claim(subscriber, channel);
    try {
      const followed = await this.#joined(channel);
      this.#checkStill(subscriber, channel, token);
      followed.enter(subscriber);
      const subscription = await this.#answer(channel, userId, since);
      this.#checkStill(subscriber, channel, token);
      followed.begin(subscriber, subscription);
      return subscription;
    } catch (error) {
      if (this.#subscriptions.get(subscriber)?.get(channel) === token) this.unsubscribe(subscriber, channel);
      throw error;
    }
  }

  /** False where there was no such subscription. */
  unsubscribe(subscriber: Subscriber, channel: string): boolean {
    const channels = this.#subscriptions.get(subscriber);
    if (channels === undefined || !channels.delete(channel)) return false;
    if (channels.size === 0) this.#subscriptions.delete(subscriber);
    this.#letGo(subscriber, channel);
    return true;
  }

  /** The subscriber is gone. */
  leave(subscriber: Subscriber): void {
    const channels = this.#subscriptions.get(subscriber);
    this.#subscriptions.delete(subscriber);
    for (const channel of channels?.keys() ?? []) this.#letGo(subscriber, channel);
  }

  channelsOf(subscriber: Subscriber): string[] {
    return [...(this.#subscriptions.get(subscriber)?.keys() ?? [])];
  }

  isSubscribed(subscriber: Subscriber, channel: string): boolean {
    return this.#subscriptions.get(subscriber)?.has(channel) ?? false;
  }

  /** The last `limit` publications, or all after `since` up to `limit`; none where `since` is not of this log. */
  async history(
    channel: string,
    query: { since?: Position | undefined; limit?: number | undefined },
  ): Promise<ChannelHistory> {
    const { history } = this.#deps.kinds.of(channel);
    const limit = Math.min(query.limit ?? history.size, history.size);
    const from =
      query.since === undefined
        ? ({ kind: "latest", limit } as const)
        : ({ kind: "since", position: query.since } as const);
    const slice = await this.#deps.log.read(channel, history, from);
    const texts = slice.isWhole ? slice.entries.slice(0, limit).map((entry) => entry.json) : [];
    return { channel, epoch: slice.epoch, offset: slice.offset, publications: texts.map(toPublication) };
  }

  /** The same after checking the client's right to read the channel. */
  async historyAs(
    reader: Reader,
    channel: string,
    query: { since?: Position | undefined; limit?: number | undefined },
  ): Promise<ChannelHistory> {
    await this.#deps.permissions.checkSubscribe(reader, channel);
    return this.history(channel, query);
  }

  /** To the subscribers of this node, now, without a place in the log. */
  deliverLive(channel: string, event: string, data: string): void {
    this.#deps.kinds.of(channel);
    const publication = `{"channel":${JSON.stringify(channel)},"event":${JSON.stringify(event)},"data":${data},"publishedAt":${this.#deps.clock.now()}}`;
    this.#followed.get(channel)?.deliverLive(Buffer.from(`42["publication",${publication}]`));
  }

  /** Channels of a kind with subscribers on this node. */
  *watched(kind: string): Iterable<string> {
    for (const [channel, followed] of this.#followed) {
      if (followed.subscriberCount > 0 && kindOf(channel) === kind) yield channel;
    }
  }

  /** Subscribers on this node by channel. */
  *counts(): Iterable<{ channel: string; subscribers: number }> {
    for (const [channel, { subscriberCount }] of this.#followed) {
      if (subscriberCount > 0) yield { channel, subscribers: subscriberCount };
    }
  }

  onSubscription(listener: SubscriptionListener): void {
    this.#listeners.push(listener);
  }

  /** Every channel may have a gap: the feed was away. */
  repairAll(): void {
    for (const followed of this.#followed.values()) followed.repair();
  }

  #claim(subscriber: Subscriber, channel: string): symbol {
    const channels = this.#subscriptions.get(subscriber) ?? new Map<string, symbol>();
    if (!channels.has(channel) && channels.size >= this.#options.subscriptionsPerConnection) {
      throw new GatewayError("subscription_limit");
    }
    const token = Symbol(channel);
    const isNew = !channels.has(channel);
    channels.set(channel, token);
    this.#subscriptions.set(subscriber, channels);
    if (isNew) this.#notify(subscriber, channel, true);
    return token;
  }

  /** A disconnect or an unsubscribe may have come while the store was asked. */
  #checkStill(subscriber: Subscriber, channel: string, token: symbol): void {
    if (this.#subscriptions.get(subscriber)?.get(channel) !== token) throw new GatewayError("not_subscribed");
  }

  async #answer(channel: string, userId: string, since: Position | undefined): Promise<Subscription> {
    const { history } = this.#deps.kinds.of(channel);
    const takeSnapshot = this.#deps.snapshots.get(kindOf(channel));
    if (since === undefined && takeSnapshot !== undefined)
      return withSnapshot(channel, await takeSnapshot(channel, userId));
    const slice = await this.#deps.log.read(
      channel,
      history,
      since === undefined ? { kind: "position" } : { kind: "since", position: since },
    );
    const answer = toSubscription(channel, slice, since);
    if (answer.recovered || takeSnapshot === undefined) return answer;
    return withSnapshot(channel, await takeSnapshot(channel, userId));
  }

  /** The channel, followed and with a known position. While this waits it may be let go by others: then once more. */
  async #joined(channel: string): Promise<FollowedChannel> {
    for (;;) {
      const followed = this.#follow(channel);
      try {
        await followed.joined;
      } catch (error) {
        this.#drop(channel, followed);
        throw error;
      }
      if (this.#followed.get(channel) === followed) return followed;
    }
  }

  #follow(channel: string): FollowedChannel {
    const known = this.#followed.get(channel);
    if (known !== undefined) return known;
    const { kinds, feed, log, deliver, clock, onGap } = this.#deps;
    const followed = new FollowedChannel(channel, kinds.of(channel).history, {
      feed,
      log,
      deliver,
      onGap,
      lost: (name, subscribers) => this.#tellLost(name, subscribers),
      later: (run) => void clock.after(repairAgainMs, run),
    });
    this.#followed.set(channel, followed);
    this.#deps.onWatched(this.#followed.size);
    return followed;
  }

  #letGo(subscriber: Subscriber, channel: string): void {
    const followed = this.#followed.get(channel);
    followed?.leave(subscriber);
    this.#notify(subscriber, channel, false);
    if (followed !== undefined && followed.subscriberCount === 0) this.#linger(channel, followed);
  }

  #linger(channel: string, followed: FollowedChannel): void {
    if (this.#lingering.size >= mostLingering) return this.#drop(channel, followed);
    this.#lingering.get(channel)?.();
    const cancel = this.#deps.clock.after(this.#options.lingerMs, () => {
      this.#lingering.delete(channel);
      if (followed.subscriberCount === 0) this.#drop(channel, followed);
    });
    this.#lingering.set(channel, cancel);
  }

  #drop(channel: string, followed: FollowedChannel): void {
    if (this.#followed.get(channel) !== followed) return;
    this.#followed.delete(channel);
    this.#lingering.get(channel)?.();
    this.#lingering.delete(channel);
    followed.close();
    this.#deps.onWatched(this.#followed.size);
  }

  #tellLost(channel: string, subscribers: readonly Subscriber[]): void {
    const error = new GatewayError("unavailable", "Publications were lost; subscribe again.");
    for (const subscriber of subscribers) {
      if (this.unsubscribe(subscriber, channel)) this.#deps.tellUnsubscribed(subscriber, channel, error);
    }
  }

  #notify(subscriber: Subscriber, channel: string, isSubscribed: boolean): void {
    for (const listener of this.#listeners) listener({ subscriber, channel, isSubscribed });
  }

  #renew(): void {
    const watched = [...this.#followed]
      .filter(([, { subscriberCount }]) => subscriberCount > 0)
      .map(([channel]) => channel);
    this.#deps.log
      .renew(watched)
      .catch((error: unknown) => this.#deps.logger.warn({ err: error }, "channel positions not renewed"));
  }
}

function toSubscription(channel: string, slice: LogSlice, since: Position | undefined): Subscription {
  const { epoch, offset } = slice;
  if (since === undefined) return { channel, epoch, offset, recovered: false, publications: [] };
  const { recovered, publications } = recoveryFrom(slice, since);
  return { channel, epoch, offset, recovered, publications: publications.map(toPublication) };
}

function withSnapshot(channel: string, { value, at }: Snapshot): Subscription {
  return { channel, epoch: at.epoch, offset: at.offset, recovered: false, publications: [], snapshot: value };
}

/** What the log holds was written by the publish script from what the gate let in. */
const toPublication = (json: string): Publication => JSON.parse(json) as Publication;

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));
