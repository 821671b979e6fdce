import { randomUUID } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { createChannelLog } from "../../src/channels/channel-log.ts";
import type { RecoveryRecords, TakeSnapshot } from "../../src/channels/subscription.ts";
import { Channels } from "../../src/channels/channels.ts";
import { createFeed } from "../../src/channels/feed.ts";
import { createKinds, type ChannelKindSettings } from "../../src/channels/kinds.ts";
import { createPermissions, type Principal } from "../../src/channels/permissions.ts";
import type { Publication } from "../../src/channels/publication.ts";
import type { Subscriber } from "../../src/channels/subscribers.ts";
import { createRedisConnections, type RedisAddress, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { quietLog } from "./world.ts";

/** A reader on a node that writes down what it is sent. */
export interface RecordingSubscriber extends Subscriber {
  readonly seen: Publication[];
  /** The stamp that came with each of `seen`. */
  readonly stamps: number[];
  readonly unsubscribed: { channel: string; code: string }[];
}

export function recordingSubscriber(): RecordingSubscriber {
  return { id: randomUUID(), userId: "ada", seen: [], stamps: [], unsubscribed: [] };
}

/** The channels room of one node on real Redis, with its own connections; no socket in sight. */
export interface ChannelsNode {
  channels: Channels;
  redis: RedisConnections;
  gaps: string[];
}

export interface ChannelsNodeOptions {
  prefix: string;
  kinds?: Record<string, ChannelKindSettings>;
  url?: string;
  /** Where the store is, where it is not one Redis at `url`. */
  address?: RedisAddress;
  clock?: Clock;
  snapshots?: Map<string, TakeSnapshot>;
  subscriptionsPerConnection?: number;
  lingerMs?: number;
  mayDeliver?: () => boolean;
  records?: RecoveryRecords;
  /** @default nobody may */
  mayReadOrder?: () => Promise<boolean>;
}

export const openKind: ChannelKindSettings = {
  subscribe: "public",
  publish: "public",
  history: { size: 1000, ttlSeconds: 60 },
};

export async function startChannelsNode(options: ChannelsNodeOptions): Promise<ChannelsNode> {
  const { prefix, clock = systemClock } = options;
  const redis = createRedisConnections({
    address: options.address ?? { topology: "single", url: options.url ?? inject("redisUrl") },
    nodeId: randomUUID(),
    log: quietLog,
  });
  const keys = createKeys(prefix);
  const kinds = createKinds(options.kinds ?? { chat: openKind });
  const gaps: string[] = [];
  const channels = new Channels(
    {
      kinds,
      permissions: createPermissions({ kinds, mayReadOrder: options.mayReadOrder ?? (async () => false) }),
      log: createChannelLog({ commands: redis.connection("commands"), keys, isCluster: redis.isCluster }),
      feed: createFeed({
        feed: createShardedFeed({ subscriber: redis.connection("subscriber"), clock }),
        keys,
        log: quietLog,
      }),
      deliver: (subscribers, packet) => {
        for (const subscriber of subscribers) record(subscriber as RecordingSubscriber, packet);
      },
      notifyUnsubscribed: (subscriber, channel, error) =>
        void (subscriber as RecordingSubscriber).unsubscribed.push({ channel, code: error.code }),
      startAnew: () => undefined,
      ...(options.records === undefined ? {} : { records: options.records }),
      mayDeliver: options.mayDeliver ?? (() => true),
      snapshots: options.snapshots ?? new Map(),
      clock,
      logger: quietLog,
      onGap: (outcome) => void gaps.push(outcome),
      onConflated: () => undefined,
      onChannelCount: () => undefined,
    },
    {
      subscriptionsPerConnection: options.subscriptionsPerConnection ?? 128,
      ...(options.lingerMs === undefined ? {} : { lingerMs: options.lingerMs }),
    },
  );
  onTestFinished(async () => {
    channels.stop();
    await redis.close();
  });
  await redis.ready(60_000);
  await channels.start();
  await redis.connection("subscriber").ping();
  return { channels, redis, gaps };
}

/** Writes down what a client would read from a packet. */
export function record(subscriber: RecordingSubscriber, packet: Buffer): void {
  const [event, publication, stamp] = JSON.parse(packet.toString().slice(2)) as [string, Publication, string];
  if (event !== "publication") throw new Error(`not a publication: ${event}`);
  subscriber.seen.push(publication);
  subscriber.stamps.push(Number(stamp));
}

export const reader = (userId: string, subscribe: string[] = [], publish: string[] = []): Principal => ({
  userId,
  channels: { subscribe, publish },
});
