import { createCache } from "../cache/cache.ts";
import { createChannelLog } from "../channels/channel-log.ts";
import type { TakeSnapshot } from "../channels/subscription.ts";
import { Channels, type ChannelsDeps } from "../channels/channels.ts";
import { createRecoveryRecordStore } from "../channels/recovery-record-store.ts";
import { RecentDeliveries } from "../channels/delivery-trail.ts";
import { createFeed } from "../channels/feed.ts";
import { createKinds, type Kinds } from "../channels/kinds.ts";
import { createPermissions, type Permissions } from "../channels/permissions.ts";
import type { Control } from "../cluster/control.ts";
import type { Config } from "../config.ts";
import { createLeaderboards, type Leaderboards } from "../leaderboards/leaderboards.ts";
import type { OrdersDeps } from "../orders/orders.ts";
import { kindOf } from "../protocol/names.ts";
import type { Presence } from "../presence/presence.ts";
import { runsOf } from "../redis/runs.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createFanOut } from "../connections/fan-out.ts";
import { createSessionRecovery, type SessionRecovery } from "../connections/session-recovery.ts";
import { LimitRefusal } from "../commands/refusal.ts";
import type { Throttling } from "../throttling/throttling.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import { createOrders } from "./backends.ts";
import { withCachedPages } from "./cached-boards.ts";
import { createNodePresence } from "./presence.ts";
import type { Store } from "./store.ts";

/** What every part of a node stands on. */
export interface Ground {
  config: Config;
  store: Store;
  control: Control;
  metrics: Metrics;
  clock: Clock;
  log: Logger;
}

/** What flows through a node, and what is kept for it. */
export interface Flow extends ReturnType<typeof createOrders> {
  kinds: Kinds;
  channels: Channels;
  presence: Presence;
  recovery: SessionRecovery;
  leaderboards: Leaderboards;
  /** The same boards, with large pages kept. */
  boards: Leaderboards;
}

export interface FlowDeps {
  webhooks: Webhooks | undefined;
  throttling: Throttling;
  notifyUnsubscribed: ChannelsDeps["notifyUnsubscribed"];
}

export function createFlow(ground: Ground, { webhooks, throttling, notifyUnsubscribed }: FlowDeps): Flow {
  const { config, store, control } = ground;
  const kinds = createKinds(config.channels);
  const notifyStatus = webhooks && webhooks.orderStatus.bind(webhooks);
  const removeSubscription: OrdersDeps["removeSubscription"] = (...of) => channels.forceUnsubscribe(...of);
  const { orders, deadLetters } = createOrders(config, { ...ground, kinds, notifyStatus, removeSubscription });
  const permissions = createPermissions({ kinds, mayReadOrder: (orderId, userId) => orders.mayRead(orderId, userId) });
  const snapshots = new Map<string, TakeSnapshot>();
  const later = { presence: () => presence, recovery: () => recovery };
  const limitOf = limitsOf(config, throttling);
  const channels: Channels = createChannels(ground, {
    kinds,
    permissions,
    snapshots,
    notifyUnsubscribed,
    limitOf,
    ...later,
  });
  control.fence.onReopened(() => channels.repair());
  const presence: Presence = createNodePresence(config, { ...ground, kinds, permissions, channels: () => channels });
  const recovery: SessionRecovery = createNodeRecovery(ground, channels);
  // A store that comes back may have lost what was written last.
  runsOf(store.commands).onNewRun(() => recovery.rewriteAll());
  store.feed.onRestored(() => recovery.rewriteAll());
  control.fence.onReopened(() => recovery.rewriteAll());
  const leaderboards = createLeaderboards(
    { ...ground, ...store, kinds },
    { boards: config.leaderboards, idempotencyTtlSeconds: config.idempotency.ttlSeconds },
  );

  snapshots.set("leaderboard", leaderboards.boardSnapshot).set("rank", leaderboards.rankSnapshot);
  snapshots.set("order", orders.takeOrderSnapshot).set("orders", orders.takeOpenOrdersSnapshot);
  channels.onSubscription((change) => presence.onSubscription(change));
  channels.onSubscription((change) => leaderboards.onSubscription(change));
  channels.onSubscription((change) => orders.onSubscription(change));
  channels.onSubscription(({ channel, isSubscribed }) => webhooks?.subscriptionChanged({ channel }, isSubscribed));
  const boards = withCachedPages(leaderboards, createCache({ ...ground, ...store }), config.leaderboards);
  return { kinds, channels, presence, recovery, orders, deadLetters, leaderboards, boards };
}

/** Publications of the kinds that have a limit, each channel by itself. */
function limitsOf({ limits }: Config, throttling: Throttling): NonNullable<ChannelsDeps["limitOf"]> {
  const limited = new Set(Object.keys(limits.publications ?? {}));

  async function take(kind: string, channel: string): Promise<void> {
    const decision = await throttling.publication(kind, channel);
    if (!decision.allowed) throw new LimitRefusal("publications", decision);
  }
  return (channel) => {
    const kind = kindOf(channel);
    if (!limited.has(kind)) return undefined;
    return { take: () => take(kind, channel), giveBack: () => throttling.refundPublication(kind, channel) };
  };
}

interface ChannelParts extends Pick<ChannelsDeps, "kinds" | "snapshots" | "notifyUnsubscribed" | "limitOf"> {
  permissions: Permissions;
  presence: () => Presence;
  recovery: () => SessionRecovery;
}

function createChannels({ config, store, control, metrics, clock, log }: Ground, parts: ChannelParts): Channels {
  const { presence, recovery, ...given } = parts;
  return new Channels(
    {
      ...given,
      log: createChannelLog(store, { idempotencyTtlSeconds: config.idempotency.ttlSeconds }),
      feed: createFeed({ ...store, log, onRead: () => metrics.feedMessages.inc() }),
      deliver: createFanOut({ metrics }),
      recent: store.isCluster ? new RecentDeliveries() : undefined,
      records: {
        save: (subscriber, channel, begun) => recovery().records.save(subscriber, channel, begun),
        remove: (subscriber, channel) => recovery().records.remove(subscriber, channel),
        rewrite: (subscriber) => recovery().records.rewrite(subscriber),
      },
      beforeAcknowledged: (channel) => presence().members.synced(channel),
      mayDeliver: () => control.fence.isOpen,
      clock,
      logger: log,
      onGap: (outcome) => metrics.gaps.inc({ outcome }),
      onConflated: (count) => metrics.skipped.inc({ reason: "conflated" }, count),
      onChannelCount: (count) => metrics.channelsWatched.set(count),
    },
    // One more than clients may make: the server makes the one to the user's own channel.
    { subscriptionsPerConnection: config.limits.subscriptionsPerConnection + 1 },
  );
}

/** Seconds between two renewals of the records of connections. */
const renewEverySeconds = 60;

function createNodeRecovery({ config, store, control, clock, log }: Ground, channels: Channels): SessionRecovery {
  const { windowSeconds } = config.recovery;
  const options = { windowSeconds, renewEverySeconds, isCluster: store.isCluster };
  const records = createRecoveryRecordStore(store, options);
  return createSessionRecovery(
    { store: records, channels: () => channels, control: () => control, clock, log },
    options,
  );
}
