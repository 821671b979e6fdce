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
import type { Subscriptions } from "./subscriptions.ts";

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
   * permitted or Redis does not answer. The caller then ends what was begun.
   */
  async restore(
    subscriber: Subscriber,
    principal: Principal,
    starts: ReadonlyMap<string, StoredStart>,
    timestamp: number,
    read?: ReadonlyMap<string, Position>,
  ): Promise<RestoredSubscriptions | undefined> {
    const { buffers, logReader, kinds, recent, states, release } = this.#deps;
    buffers.begin(subscriber, 0);
    const deliveryCount = recent?.count ?? 0;
    await checkChannels(this.#deps, principal, subscriber, byRule(starts));
    await Promise.all([...starts].map(([channel, position]) => this.#attach(subscriber, channel, position)));
    const [missed, changes] = await Promise.all([
      logReader.missedSince(timestamp, starts, read),
      states === undefined ? [] : states.missedSince(subscriber, starts.keys(), timestamp),
    ]);
    if (missed === undefined || changes === undefined) return undefined;
    for (const [channel, answered] of missed.positions) buffers.answer(subscriber, channel, answered);
    const { entries, positions, deliveries } = missed;
    return {
      packets: [...entries.map((entry) => recoveryPacket(subscriber, entry, kinds.of(entry.channel))), ...changes],
      timestamp: Math.max(timestamp, entries.at(-1)?.timestamp ?? 0),
      positions,
      missed: deliveries,
      deliveryCount,
      release() {
        release(subscriber);
        for (const channel of starts.keys()) states?.resume(subscriber, channel);
      },
    };
  }

  async #attach(subscriber: Subscriber, channel: string, start: StoredStart): Promise<void> {
    const { subscriptions, local } = this.#deps;
    const subscription = subscriptions.begin(subscriber, channel);
    subscription.isAcknowledged = true;
    const followed = await local.subscribed(channel);
    subscriptions.check(subscriber, channel, subscription);
    followed.attach(subscriber);
    subscription.start = start;
    subscription.pending -= 1;
  }
}
