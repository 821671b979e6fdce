import { expect, onTestFinished, test } from "vitest";
import { createMembersStore } from "../../src/presence/members-store.ts";
import { ChannelReplica } from "../../src/presence/channel-replica.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { eventually, quietLog, redisWorld } from "../support/world.ts";
import { toRecord } from "./presence-node.ts";

/** A mirror of `chat:a` on real Redis, and the means to write past it. */
async function startMirror() {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const feed = createShardedFeed({ subscriber: redis.connection("subscriber"), clock: systemClock });
  await redis.ready(60_000);
  const store = createMembersStore({ commands, keys });
  let changes = 0;
  const replica = new ChannelReplica("chat:a", {
    store,
    feed,
    keys,
    membership: { noteSeen: () => undefined, deadAmong: async () => [] },
    clock: systemClock,
    log: quietLog,
    warn: () => undefined,
    onChanged: () => void changes++,
  });
  onTestFinished(() => replica.close());
  const write = (counts: Record<string, number>, more: { isWhole?: boolean; formerNode?: string } = {}) =>
    store.write("chat:a", {
      node: "n1",
      counts: new Map(Object.entries(counts)),
      isWhole: false,
      formerNode: undefined,
      ...more,
    });
  const members = () => toRecord(replica.members.members(100));
  return { replica, store, write, members, redis, commands, keys, changes: () => changes };
}

test("a change past the feed is found by a check, and only then read", async () => {
  const { replica, write, members, commands, keys, changes } = await startMirror();
  await write({ ada: 1 });
  await replica.synced();
  await replica.check();
  const before = changes();
  await replica.check();
  expect(changes()).toBe(before);

  await commands.hset(keys.channelMembersOf("chat:a", "n1"), "bob", 1);
  await commands.hincrby(keys.channelMembers("chat:a"), "", 1);
  expect(members()).toEqual({ ada: 1 });
  await replica.check();

  expect(members()).toEqual({ ada: 1, bob: 1 });
});

test("what is said again changes nothing and is told to nobody", async () => {
  const { replica, write, members } = await startMirror();
  await write({ ada: 2, bob: 1 });
  await replica.synced();

  await replica.reached(await write({ ada: 2, bob: 1 }));
  await replica.reached(await write({ ada: 2, bob: 1 }, { isWhole: true }));
  await replica.reached(await write({ ada: 2, bob: 1 }, { isWhole: true, formerNode: "n0" }));

  expect(members()).toEqual({ ada: 2, bob: 1 });
  expect(replica.members.takeDiff()).toBeUndefined();
});

test("a revision that is never heard of is reached by reading", async () => {
  const { replica, write, members, redis } = await startMirror();
  await write({ ada: 1 });
  await replica.synced();
  redis.connection("subscriber").disconnect();

  await replica.reached(await write({ bob: 1 }));

  expect(members()).toEqual({ ada: 1, bob: 1 });
});

test("messages of a foreign form do no harm", async () => {
  const { replica, write, members, commands, keys } = await startMirror();
  await write({ ada: 1 });
  await replica.synced();
  const hostile = ["", "x", "1:2:3", "99999999999999999:0:[]", `${"1".repeat(15)}:0:["n9",1,"",[["eve",7]]]`, "\u0000", "[".repeat(50_000)]; // prettier-ignore
  for (const message of hostile) await commands.spublish(keys.membersFeed("chat:a"), message);
  // One that follows on what is known is believed until the next reading finds out.
  const { revision } = replica.members;
  await commands.spublish(keys.membersFeed("chat:a"), `${revision + 1}:${revision}:["n1",1,"n1",[["eve",7]]]`);
  await eventually(() => expect(members()).toEqual({ eve: 7 }));

  await replica.check();

  expect(members()).toEqual({ ada: 1 });
  await replica.reached(await write({ bob: 1 }));
  expect(members()).toEqual({ ada: 1, bob: 1 });
});

test("one that was closed while it was read leaves the feed to its successor", async () => {
  const subscriptions: { by: string; confirm: PromiseWithResolvers<void> }[] = [];
  const create = (by: string) =>
    new ChannelReplica("chat:a", {
      store: {
        read: async () => ({ revision: 0, since: 0, nodes: new Map() }),
        revision: async () => 0,
        removeNode: async () => undefined,
      },
      feed: {
        subscribe: () => {
          const confirm = Promise.withResolvers<void>();
          subscriptions.push({ by, confirm });
          return confirm.promise;
        },
        unsubscribe: () => undefined,
        onRestored: () => undefined,
      },
      keys: createKeys("test"),
      membership: { noteSeen: () => undefined, deadAmong: async () => [] },
      clock: new FakeClock(),
      log: quietLog,
      warn: () => undefined,
      onChanged: () => undefined,
    });
  const closed = create("closed");
  const read = closed.synced();
  void closed.readAgain();
  closed.close();
  void create("successor").synced();

  subscriptions[0]?.confirm.reject(new Error("Command timed out"));
  await expect(read).rejects.toThrow("Command timed out");
  await settled();

  expect(subscriptions.map(({ by }) => by)).toEqual(["closed", "successor"]);
});

test("while the store is away nothing is claimed, and afterwards it is read without being asked", async () => {
  const { replica, write, members, redis } = await startMirror();
  await write({ ada: 1 });
  redis.connection("subscriber").disconnect();

  await expect(replica.synced()).rejects.toThrow("Connection is closed.");
  await redis.connection("subscriber").connect();

  await eventually(() => expect(members()).toEqual({ ada: 1 }));
});
