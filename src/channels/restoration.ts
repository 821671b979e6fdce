import type { GatewayError } from "../protocol/errors.ts";
import type { Position } from "../protocol/scalars.ts";
import { byRule, type StoredStart } from "./stored-start.ts";
import type { RecentDeliveries } from "./delivery-trail.ts";
import type { Kinds } from "./kinds.ts";
import type { LocalChannels } from "./local-channels.ts";
import type { LogReader } from "./log-reader.ts";
import { recoveryPacket } from "./packets.ts";
import { checkChannels, type Permissions, type Principal } from "./permissions.ts";
import type { SubscribeBuffers } from "./subscribe-buffers.ts";
import type { Subscriber } from "./subscribers.ts";
import type { ChannelStates, RestoredSubscriptions } from "./subscription.ts";
import type { LocalSubscription, Subscriptions } from "./subscriptions.ts";

export interface RestorationDeps {
  kinds: Kinds;
  permissions: Pick<Permissions, "checkSubscribe">;
  buffers: SubscribeBuffers;
  subscriptions: Subscriptions;
  local: LocalChannels;
  logReader: Pick<LogReader, "missedSince">;
  recent?: RecentDeliveries | undefined;
  states?: ChannelStates | undefined;
  /** Delivers what was buffered for the subscriber. */
  release: (subscriber: Subscriber) => void;
  /** Tells the subscriber that a subscription ended before it could know of the recovery. */
  notifyUnsubscribed: (subscriber: Subscriber, channel: string, error: GatewayError) => void;
}

/** Restores the subscriptions of a connection, for Socket.IO's connection state recovery. */
export class Restoration {
  readonly #deps: RestorationDeps;

  constructor(deps: RestorationDeps) {
    this.#deps = deps;
  }

  /**
   * Checks permissions again, except for subscriptions by the app, then subscribes. `starts`: where each started; `timestamp`: of
   * the last publication the client received; `read`: exact positions from a delivery trail, if there is one. Returns
   * undefined if something that was missed is gone or the timestamp was never assigned; throws if a channel is no longer
   * permitted, a subscription was ended meanwhile, or Redis does not answer. The caller then ends what was begun.
   */
  async restore(
    subscriber: Subscriber,
    principal: Principal,
    starts: ReadonlyMap<string, StoredStart>,
    timestamp: number,
    read?: ReadonlyMap<string, Position>,
  ): Promise<RestoredSubscriptions | undefined> {
    const { buffers, subscriptions, logReader, kinds, recent, states, release } = this.#deps;
    buffers.begin(subscriber, 0);
    const deliveryCount = recent?.count ?? 0;
    const byRecord = await checkChannels(this.#deps, principal, subscriber, byRule(starts));
    const begun = new Map<string, LocalSubscription>();
    await Promise.all([...starts].map((start) => this.#attach(subscriber, start, begun)));
    const [missed, changes] = await Promise.all([
      logReader.missedSince(timestamp, starts, read),
      states === undefined ? [] : states.missedSince(subscriber, starts.keys(), timestamp),
    ]);
    if (missed === undefined || changes === undefined) return undefined;
    // What was read may be later than the end of a right.
    await checkChannels(this.#deps, principal, subscriber, byRecord);
    for (const [channel, subscription] of begun) subscriptions.check(subscriber, channel, subscription);
    for (const [channel, answered] of missed.positions) buffers.answer(subscriber, channel, answered);
    const { entries, positions, deliveries } = missed;
    const isCurrent = ({ channel }: { channel: string }): boolean =>
      subscriptions.isCurrent(subscriber, channel, begun.get(channel));
    return {
      packets: () => [
        ...entries.filter(isCurrent).map((entry) => recoveryPacket(subscriber, entry, kinds.of(entry.channel))),
        ...changes.filter(isCurrent).map(({ packet }) => packet),
      ],
      timestamp: Math.max(timestamp, entries.at(-1)?.timestamp ?? 0),
      positions,
      missed: deliveries,
      deliveryCount,
      release: () => {
        this.#acknowledge(subscriber, begun);
        release(subscriber);
        for (const channel of starts.keys()) states?.resume(subscriber, channel);
      },
    };
  }

  /** The client has been told which subscriptions it has; those that ended since are told now. */
  #acknowledge(subscriber: Subscriber, begun: ReadonlyMap<string, LocalSubscription>): void {
    for (const [channel, subscription] of begun) {
      subscription.isAcknowledged = true;
      if (subscription.endedBy !== undefined) this.#deps.notifyUnsubscribed(subscriber, channel, subscription.endedBy);
    }
  }

  async #attach(
    subscriber: Subscriber,
    [channel, start]: [string, StoredStart],
    begun: Map<string, LocalSubscription>,
  ): Promise<void> {
    const { subscriptions, local } = this.#deps;
    const subscription = subscriptions.begin(subscriber, channel);
    begun.set(channel, subscription);
    const followed = await local.subscribed(channel);
    subscriptions.check(subscriber, channel, subscription);
    followed.attach(subscriber, false);
    subscription.start = start;
    subscription.pending -= 1;
  }
}
