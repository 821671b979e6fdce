import { randomUUID } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { createKinds } from "../../src/channels/kinds.ts";
import { createPermissions } from "../../src/channels/permissions.ts";
import type { Subscriber } from "../../src/channels/subscribers.ts";
import { createControlStore } from "../../src/cluster/control-store.ts";
import { Control } from "../../src/cluster/control.ts";
import { createPresence, type Presence } from "../../src/presence/presence.ts";
import type { Member, MembersDiff } from "../../src/presence/members-replica.ts";
import {
  createRedisConnections,
  type RedisAddress,
  type RedisClient,
  type RedisConnections,
} from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { createShardedFeed, type ShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { quietLog } from "../support/world.ts";

/** The presence room of one node on real Redis, with its own connections and heartbeats; no socket in sight. */
export interface PresenceNode {
  presence: Presence;
  control: Control;
  redis: RedisConnections;
  commands: RedisClient;
  keys: Keys;
  /** What its subscribers were told, by channel, in order. */
  told: Map<string, MembersDiff[]>;
  /** A connection of the user subscribes; call what it returns to end that. */
  subscribe(userId: string, channel: string): () => void;
  members(channel: string): Promise<Record<string, number>>;
  /** As if the process were gone: no goodbye, and nothing is heard of it any more. */
  kill(): void;
  /** As if the process stood still, for heartbeats; `thaw` ends it. */
  freeze(): void;
  thaw(): void;
}

export interface PresenceNodeOptions {
  prefix: string;
  url?: string;
  topology?: "single" | "cluster";
  nodeId?: string;
  connectionsPerUser?: number;
  clock?: Clock;
  /** What becomes of a message that its feed brings. @default it is heard */
  hear?: (hear: () => void) => void;
}

interface TestSubscriber extends Subscriber {
  userId: string;
}

export async function startPresenceNode(options: PresenceNodeOptions): Promise<PresenceNode> {
  const { prefix, clock = systemClock, nodeId = `n-${randomUUID().slice(0, 4)}` } = options;
  const url = options.url ?? inject("redisUrl");
  const address: RedisAddress =
    options.topology === "cluster" ? { topology: "cluster", urls: [url] } : { topology: "single", url };
  const redis = createRedisConnections({ address, nodeId, log: quietLog });
  onTestFinished(() => redis.close());
  const keys = createKeys(prefix);
  const commands = redis.connection("commands");
  const wholeFeed = createShardedFeed({ subscriber: redis.connection("subscriber"), clock });
  const hear = options.hear ?? ((now) => now());
  const feed: ShardedFeed = {
    subscribe: (key, onMessage) => wholeFeed.subscribe(key, (message) => hear(() => onMessage(message))),
    unsubscribe: (key) => wholeFeed.unsubscribe(key),
    onRestored: (restored) => wholeFeed.onRestored(restored),
  };
  await redis.ready(60_000);

  const store = createControlStore({ commands, keys });
  let thawed = Promise.resolve();
  let thaw = (): void => undefined;
  const freeze = (): void => void (thawed = new Promise((resolve) => (thaw = resolve)));
  const control: Control = new Control({
    store: { ...store, heartbeat: (...args) => thawed.then(() => store.heartbeat(...args)) },
    clock,
    log: quietLog,
    nodeId,
    onAppended: (pull) => feed.subscribe(keys.controlFeed(), pull),
  });
  const kinds = createKinds({
    chat: { subscribe: "public", presence: true },
    team: { subscribe: "granted", presence: true },
    news: { subscribe: "public" },
  });
  const told = new Map<string, MembersDiff[]>();
  const presence: Presence = createPresence(
    {
      commands,
      feed,
      keys,
      kinds,
      permissions: createPermissions({ kinds, mayReadOrder: async () => false }),
      infoOf: () => undefined,
      deliver: (channel, packet) => {
        const [, diff] = JSON.parse(packet.toString().slice(2)) as [string, MembersDiff];
        told.set(channel, [...(told.get(channel) ?? []), diff]);
      },
      userTagOf: (sessionId) => sessionId.slice(0, sessionId.indexOf(".")),
      control,
      clock,
      log: quietLog,
    },
    { connectionsPerUser: options.connectionsPerUser ?? 20 },
  );
  control.onDeadNode((node) => presence.onDead(node));
  await control.start();
  await presence.start?.();
  let isGone = false;
  onTestFinished(async () => {
    if (isGone) return;
    thaw();
    await presence.stop?.(AbortSignal.timeout(1_000));
    await control.stop();
  });

  return {
    presence,
    control,
    redis,
    commands,
    keys,
    told,
    subscribe(user, channel) {
      const subscriber: TestSubscriber = { id: randomUUID(), userId: user };
      presence.onSubscription({ subscriber, channel, isSubscribed: true });
      return () => presence.onSubscription({ subscriber, channel, isSubscribed: false });
    },
    async members(channel) {
      return toRecord((await presence.members.of(channel)).members);
    },
    kill() {
      isGone = true;
      freeze();
      for (const role of ["commands", "subscriber"] as const) redis.connection(role).disconnect();
    },
    freeze,
    thaw: () => thaw(),
  };
}

export const toRecord = (members: readonly Member[]): Record<string, number> =>
  Object.fromEntries(members.map(({ userId, connections }) => [userId, connections]));

/** What a client makes of a state and the diffs that came after it. */
export function replay(state: Readonly<Record<string, number>>, diffs: readonly MembersDiff[]): Record<string, number> {
  const members = { ...state };
  for (const { joined, updated, left } of diffs) {
    for (const { userId, connections } of [...joined, ...updated]) members[userId] = connections;
    for (const { userId } of left) delete members[userId];
  }
  return members;
}
