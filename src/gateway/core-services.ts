import { createCache } from "../cache/cache.ts";
import { createChannelLog } from "../channels/channel-log.ts";
import type { TakeSnapshot } from "../channels/subscription.ts";
import { Channels, type ChannelsDeps } from "../channels/channels.ts";
import { createRecoveryRecordStore } from "../channels/recovery-record-store.ts";
import { createDeliveryLatency } from "../channels/delivery-latency.ts";
import { RecentDeliveries } from "../channels/delivery-trail.ts";
import { createFeed } from "../channels/feed.ts";
import { createKinds, type Kinds } from "../channels/kinds.ts";
import { createPermissions, type AskApp, type Permissions } from "../channels/permissions.ts";
import type { Config } from "../config.ts";
import { createLeaderboards, type Leaderboards } from "../leaderboards/leaderboards.ts";
import { kindOf } from "../protocol/names.ts";
import { createPresence, type Presence, type PresenceDeps } from "../presence/presence.ts";
import { State, type StateDeps } from "../state/state.ts";
import { runsOf } from "../redis/runs.ts";
import { createFanOut } from "../connections/fan-out.ts";
import { notifyUnsubscribed, startAnew } from "../connections/connection-hooks.ts";
import { createSessionRecovery, recoveryCommandTypes, type SessionRecovery } from "../connections/session-recovery.ts";
import { createDeadCommandStore } from "../commands/dead-command-store.ts";
import { requireAllowed } from "../commands/refusal.ts";
import { Orders, type OrdersDeps } from "../orders/orders.ts";
import type { Throttling } from "../throttling/throttling.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import { recordDelivery, recordUnsubscribed, spanDelivery } from "./observers.ts";
import { withCachedPages } from "./cached-boards.ts";
import type { NodeContext } from "./node-context.ts";
import { tagOfSession } from "../auth/session-id.ts";
import type { Connection } from "../connections/connection.ts";

/** The services of a node. */
export interface CoreServices extends ReturnType<typeof createOrders> {
  kinds: Kinds;
  permissions: Permissions;
  channels: Channels;
  presence: Presence;
  state: State;
  recovery: SessionRecovery;
  leaderboards: Leaderboards;
  /** The same leaderboards with large pages cached. */
  boards: Leaderboards;
}

export interface CoreServicesDeps {
  askApp: AskApp;
  /** Returns a value of a channel's state as the contract's schema does. Throws `bad_request`. */
  checkState: StateDeps["check"];
  webhooks: Webhooks | undefined;
  throttling: Throttling;
}

export function createCoreServices(
  context: NodeContext,
  { webhooks, throttling, askApp, checkState }: CoreServicesDeps,
): CoreServices {
  const { config, store, metrics, clock, log } = context;
  const { commands, isCluster, feed, keys } = store;
  const kinds = createKinds(config.channels);
  const snapshots = new Map<string, TakeSnapshot>();
  const { orders, deadLetters } = createOrders(context, {
    kinds,
    notifyStatus: webhooks && webhooks.orderStatus.bind(webhooks),
    removeSubscription: (...of) => channels.forceUnsubscribe(...of),
  });
  const permissions = createPermissions({
    kinds,
    mayReadOrder: (orderId, userId) => orders.mayRead(orderId, userId),
    askApp,
  });
  const channels: Channels = createChannels(context, {
    kinds,
    permissions,
    snapshots,
    limitOf: limitsOf(config, throttling),
    records: {
      save: (subscriber, channel, start) => recovery.records.save(subscriber, channel, start),
      remove: (subscriber, channel) => recovery.records.remove(subscriber, channel),
      rewrite: (subscriber) => recovery.records.rewrite(subscriber),
    },
    states: {
      snapshot: (subscriber, channel) => state.snapshot(subscriber, channel),
      missedSince: (...of) => state.missedSince(...of),
      resume: (subscriber, channel) => state.resume(subscriber, channel),
    },
    beforeAcknowledged: (channel) => presence.members.synced(channel),
  });
  const presence = createNodePresence(context, {
    kinds,
    permissions,
    deliver: (channel, packet) => channels.deliverPacket(channel, packet),
  });
  const state = createNodeState(context, { kinds, permissions, check: checkState });
  const recovery = createNodeRecovery(context, { channels, kinds });
  const leaderboards = createLeaderboards(
    {
      commands,
      isCluster,
      feed,
      keys,
      kinds,
      spans: context.spans,
      notifySeason: webhooks?.wants("leaderboard.season") ? webhooks.seasonChanged.bind(webhooks) : undefined,
      clock,
      log,
    },
    { boards: config.leaderboards, idempotencyTtlSeconds: config.idempotency.ttlSeconds },
  );
  const cache = createCache({ commands, keys, metrics, clock, log });

  snapshots.set("leaderboard", leaderboards.boardSnapshot).set("rank", leaderboards.rankSnapshot);
  snapshots.set("order", orders.takeOrderSnapshot).set("orders", orders.takeOpenOrdersSnapshot);
  channels.onSubscription(({ isSubscribed }) => metrics.subscriptions.inc(isSubscribed ? 1 : -1));
  channels.onSubscription((change) => presence.onSubscription(change));
  channels.onSubscription((change) => state.onSubscription(change));
  channels.onSubscription((change) => leaderboards.onSubscription(change));
  channels.onSubscription((change) => orders.onSubscription(change));
  channels.onSubscription(({ channel, isSubscribed }) => webhooks?.subscriptionChanged({ channel }, isSubscribed));
  const boards = withCachedPages(leaderboards, cache, config.leaderboards);
  return { kinds, permissions, channels, presence, state, recovery, orders, deadLetters, leaderboards, boards };
}

/** The limit of publications per channel, for kinds that have one. */
function limitsOf({ limits }: Config, throttling: Throttling): NonNullable<ChannelsDeps["limitOf"]> {
  const limited = new Set(Object.keys(limits.publications ?? {}));

  async function take(kind: string, channel: string): Promise<void> {
    requireAllowed("publications", await throttling.publication(kind, channel));
  }
  return (channel) => {
    const kind = kindOf(channel);
    if (!limited.has(kind)) return undefined;
    return { take: () => take(kind, channel), giveBack: () => throttling.refundPublication(kind, channel) };
  };
}

type ChannelParts = Pick<
  ChannelsDeps,
  "kinds" | "permissions" | "snapshots" | "states" | "limitOf" | "records" | "beforeAcknowledged"
>;

function createChannels(context: NodeContext, parts: ChannelParts): Channels {
  const { config, store, control, metrics, traces, spans, clock, log } = context;
  const { feed, keys } = store;
  const observeLatency = createDeliveryLatency({
    observe: (seconds) => metrics.deliveryLatency.observe(seconds),
    clock,
  });
  const channels = new Channels(
    {
      ...parts,
      log: createChannelLog({ ...store, spans }, { idempotencyTtlSeconds: config.idempotency.ttlSeconds }),
      feed: createFeed({ feed, keys, log, onRead: () => metrics.feedMessages.inc() }),
      deliver: createFanOut({ metrics }),
      onDelivered(message, channel, receivers) {
        if ("timestamp" in message) observeLatency(message.timestamp);
        if (message.traceparent !== undefined) spanDelivery(spans, channel, message, receivers.length);
        if (traces.isActive) recordDelivery(traces, channel, message, { receivers, now: clock.now() });
      },
      recent: store.isCluster ? new RecentDeliveries() : undefined,
      notifyUnsubscribed(subscriber, channel, error, continues) {
        if (traces.isActive) recordUnsubscribed(traces, subscriber, channel, error);
        notifyUnsubscribed(subscriber, channel, error, continues);
      },
      startAnew,
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
  control.fence.onReopened(() => channels.repair());
  return channels;
}

function createNodeState(
  { config, store, control, metrics, clock, log }: NodeContext,
  parts: { kinds: Kinds; permissions: Permissions; check: StateDeps["check"] },
): State {
  const { commands, feed, keys } = store;
  const state = new State(
    {
      ...parts,
      commands,
      feed,
      keys,
      deliver: createFanOut({ metrics }),
      control,
      onConflated: (count) => metrics.skipped.inc({ reason: "conflated" }, count),
      clock,
      log,
    },
    config.limits.state,
  );
  control.onDeadNode((node) => state.onDead(node));
  return state;
}

/** Interval at which the records of connections are renewed. */
const renewEverySeconds = 60;

function createNodeRecovery(
  { config, store, control, clock, log }: NodeContext,
  { channels, kinds }: { channels: Channels; kinds: Kinds },
): SessionRecovery {
  const options = { windowSeconds: config.recovery.windowSeconds, renewEverySeconds, isCluster: store.isCluster };
  const records = createRecoveryRecordStore(store, options);
  const hasState = (channel: string): boolean => kinds.of(channel).state;
  const isChannel = (room: unknown): boolean => kinds.has(room);
  const recovery = createSessionRecovery(
    { store: records, channels, hasState, isChannel, control, clock, log },
    options,
  );
  for (const type of recoveryCommandTypes) control.on(type, (command) => recovery.perform(command));
  // Redis may have lost its last writes.
  runsOf(store.commands).onNewRun(() => recovery.rewriteAll());
  store.feed.onRestored(() => recovery.rewriteAll());
  control.fence.onReopened(() => recovery.rewriteAll());
  return recovery;
}

interface NodePresenceDeps {
  kinds: Kinds;
  permissions: Permissions;
  deliver: PresenceDeps["deliver"];
}

/** Presence, fed by this node's channels. */
function createNodePresence(
  { config, store, control, clock, log }: NodeContext,
  { kinds, permissions, deliver }: NodePresenceDeps,
): Presence {
  const { commands, feed, keys } = store;
  const presence = createPresence(
    {
      commands,
      feed,
      keys,
      kinds,
      permissions,
      // A subscriber of this node is always a connection (`socket-connection.ts`).
      infoOf: (subscriber) => (subscriber as Connection).identity.info,
      deliver,
      userTagOf: tagOfSession,
      control,
      clock,
      log,
    },
    config.limits,
  );
  control.onDeadNode((node) => presence.onDead(node));
  return presence;
}

interface OrderServiceDeps extends Pick<OrdersDeps, "notifyStatus" | "removeSubscription"> {
  kinds: Kinds;
}

/** Orders, and the dead letters of events that could not be applied. */
function createOrders(
  { config, store, control, spans, clock, log }: NodeContext,
  { kinds, notifyStatus, removeSubscription }: OrderServiceDeps,
) {
  const { commands, keys, isCluster } = store;
  const deadLetters = createDeadCommandStore({ commands, keys });
  const orders = new Orders(
    {
      commands,
      keys,
      isCluster,
      spans,
      historyOf: (channel) => kinds.of(channel).history,
      deadLetter: (refused) => deadLetters.add({ ...refused, tries: 1 }),
      notifyStatus,
      removeSubscription,
      command: (command) => control.command({ ...command }),
      nodeCount: () => control.living.length,
      clock,
      log,
    },
    { ...config.orders, idempotencyTtlSeconds: config.idempotency.ttlSeconds },
  );
  for (const type of ["order.ended", "order.updated"]) control.on(type, (command) => orders.perform(command));
  return { orders, deadLetters };
}
