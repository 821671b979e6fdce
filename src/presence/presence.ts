import type { Kinds } from "../channels/kinds.ts";
import type { Permissions } from "../channels/permissions.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { SubscriptionChange } from "../channels/subscriptions.ts";
import type { Fence } from "../cluster/fence.ts";
import type { Membership } from "../cluster/membership.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { ShardedFeed } from "../redis/pubsub/sharded-feed.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Service } from "../runtime/lifecycle.ts";
import type { Logger } from "../runtime/logger.ts";
import { createSubscriberCountsStore } from "./subscriber-counts-store.ts";
import { SubscriberCounts, type ChannelPage, type ListQuery } from "./subscriber-counts.ts";
import { createMembersStore } from "./members-store.ts";
import { Members } from "./members.ts";
import { createConnectionQuotaStore } from "./connection-quota-store.ts";
import { ConnectionQuota } from "./connection-quota.ts";

export interface PresenceDeps {
  commands: RedisClient;
  feed: ShardedFeed;
  keys: Keys;
  kinds: Kinds;
  permissions: Pick<Permissions, "checkSubscribe">;
  /** The public part of a subscriber's session. */
  infoOf: (subscriber: Subscriber) => unknown;
  /** Writes one packet to the channel's subscribers on this node. */
  deliver: (channel: string, packet: Buffer) => void;
  /** Shared by all sessions of one user. */
  userTagOf: (sessionId: string) => string;
  /** This node's name in the cluster and its lease; who else lives. */
  control: { readonly incarnation: string; readonly fence: Fence; readonly membership: Membership };
  clock: Clock;
  log: Logger;
}

export interface PresenceOptions {
  /** Connections a user may have, over all nodes. */
  connectionsPerUser: number;
}

/**
 * Who is here, over all nodes: members of channels, subscribers of channels, connections of users. Each node says in the
 * store what is so on itself, in absolute numbers and under the name its lease stands for. What a dead node has said is
 * left out by everybody, so nobody has to clean up after it in time.
 */
export interface Presence extends Service {
  readonly members: Pick<Members, "of" | "ofAs" | "setData" | "infoChanged" | "synced">;
  readonly connectionQuota: Pick<ConnectionQuota, "take" | "release" | "connectionsOf" | "removeDead">;
  /** Channels with subscribers, on all nodes. */
  list(query: ListQuery): Promise<ChannelPage>;
  /** To be told of every subscription on this node. */
  onSubscription(change: SubscriptionChange): void;
  /** Cleans up after a dead node. */
  onDead(node: string): Promise<void>;
}

export function createPresence(deps: PresenceDeps, { connectionsPerUser }: PresenceOptions): Presence {
  const { commands, keys, control } = deps;
  const { fence, membership } = control;
  const own = { ...deps, fence, membership, incarnation: () => control.incarnation, mayWrite: () => fence.isOpen };
  const members = new Members({ ...own, store: createMembersStore({ commands, keys }) });
  const subscriberCounts = new SubscriberCounts({ ...own, store: createSubscriberCountsStore({ commands, keys }) });
  const connectionQuota = new ConnectionQuota(
    { ...own, store: createConnectionQuotaStore({ commands, keys }) },
    { connectionsPerUser },
  );

  function rewriteAll(): void {
    for (const said of [connectionQuota, members, subscriberCounts]) said.rewriteAll();
  }

  return {
    name: "presence",
    members,
    connectionQuota,
    list: (query) => subscriberCounts.list(query),
    onSubscription(change) {
      subscriberCounts.change(change.channel, change.isSubscribed);
      // Backends are subscribers, but nobody's connections.
      if (change.subscriber.userId !== "") members.change(change);
    },
    onDead: (node) => subscriberCounts.forget(node),
    start() {
      for (const service of [members, subscriberCounts, connectionQuota]) service.start();
      // A store that comes back may have lost what was said last.
      deps.feed.onRestored(rewriteAll);
      fence.onReopened(rewriteAll);
    },
    async stop() {
      await Promise.all([members.stop(), subscriberCounts.stop(), connectionQuota.stop()]);
    },
  };
}
