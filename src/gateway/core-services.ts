import { createCache } from "../cache/cache.ts";
import { createChannelLog } from "../channels/channel-log.ts";
import type { TakeSnapshot } from "../channels/subscription.ts";
import { Channels, type ChannelsDeps } from "../channels/channels.ts";
import { createRecoveryRecordStore } from "../channels/recovery-record-store.ts";
import { createDeliveryLatency } from "../channels/delivery-latency.ts";
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
import { createOrders } from "./ingress.ts";
import { withCachedPages } from "./cached-boards.ts";
import { createNodePresence } from "./presence.ts";
import type { Store } from "./store.ts";

/** Everything that each part of a node needs. */
export interface NodeContext {
  config: Config;
  store: Store;
  control: Control;
  metrics: Metrics;
  clock: Clock;
  log: Logger;
}

/** The services of a node. */
export interface CoreServices extends ReturnType<typeof createOrders> {
  kinds: Kinds;
  channels: Channels;
  presence: Presence;
  recovery: SessionRecovery;
  leaderboards: Leaderboards;
  /** The same leaderboards with large pages cached. */
  boards: Leaderboards;
}

export interface CoreServicesDeps {
  webhooks: Webhooks | undefined;
  throttling: Throttling;
  notifyUnsubscribed: ChannelsDeps["notifyUnsubscribed"];
}

export function createCoreServices(
  context: NodeContext,
  { webhooks, throttling, notifyUnsubscribed }: CoreServicesDeps,
): CoreServices {
  const { config, store, control } = context;
  const kinds = createKinds(config.channels);
  const notifyStatus = webhooks && webhooks.orderStatus.bind(webhooks);
  const removeSubscription: OrdersDeps["removeSubscription"] = (...of) => channels.forceUnsubscribe(...of);
  const { orders, deadLetters } = createOrders(config, { ...context, kinds, notifyStatus, removeSubscription });
  const permissions = createPermissions({ kinds, mayReadOrder: (orderId, userId) => orders.mayRead(orderId, userId) });
  const snapshots = new Map<string, TakeSnapshot>();
  const later = { presence: () => presence, recovery: () => recovery };
  const limitOf = limitsOf(config, throttling);
  const channels: Channels = createChannels(context, {
    kinds,
    permissions,
    snapshots,
    notifyUnsubscribed,
    limitOf,
    ...later,
  });
  control.fence.onReopened(() => channels.repair());
  const presence: Presence = createNodePresence(config, { ...context, kinds, permissions, channels: () => channels });
  const recovery: SessionRecovery = createNodeRecovery(context, channels);
  // Redis may have lost its last writes.
  runsOf(store.commands).onNewRun(() => recovery.rewriteAll());
  store.feed.onRestored(() => recovery.rewriteAll());
  control.fence.onReopened(() => recovery.rewriteAll());
  const leaderboards = createLeaderboards(
    { ...context, ...store, kinds },
    { boards: config.leaderboards, idempotencyTtlSeconds: config.idempotency.ttlSeconds },
  );

  snapshots.set("leaderboard", leaderboards.boardSnapshot).set("rank", leaderboards.rankSnapshot);
  snapshots.set("order", orders.takeOrderSnapshot).set("orders", orders.takeOpenOrdersSnapshot);
  channels.onSubscription((change) => presence.onSubscription(change));
  channels.onSubscription((change) => leaderboards.onSubscription(change));
  channels.onSubscription((change) => orders.onSubscription(change));
  channels.onSubscription(({ channel, isSubscribed }) => webhooks?.subscriptionChanged({ channel }, isSubscribed));
  const boards = withCachedPages(leaderboards, createCache({ ...context, ...store }), config.leaderboards);
  return { kinds, channels, presence, recovery, orders, deadLetters, leaderboards, boards };
}

/** The limit of publications per channel, for kinds that have one. */
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

function createChannels({ config, store, control, metrics, clock, log }: NodeContext, parts: ChannelParts): Channels {
  const { presence, recovery, ...given } = parts;
  return new Channels(
    {
      ...given,
      log: createChannelLog(store, { idempotencyTtlSeconds: config.idempotency.ttlSeconds }),
      feed: createFeed({ ...store, log, onRead: () => metrics.feedMessages.inc() }),
      deliver: createFanOut({ metrics }),
      onDelivered: createDeliveryLatency({ observe: (seconds) => metrics.deliveryLatency.observe(seconds), clock }),
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
    // One more than clients may make: the server's own subscription to the user's channel.
    { subscriptionsPerConnection: config.limits.subscriptionsPerConnection + 1 },
  );
}

/** Interval at which the records of connections are renewed. */
const renewEverySeconds = 60;

function createNodeRecovery({ config, store, control, clock, log }: NodeContext, channels: Channels): SessionRecovery {
  const { windowSeconds } = config.recovery;
  const options = { windowSeconds, renewEverySeconds, isCluster: store.isCluster };
  const records = createRecoveryRecordStore(store, options);
  return createSessionRecovery(
    { store: records, channels: () => channels, control: () => control, clock, log },
    options,
  );
}
