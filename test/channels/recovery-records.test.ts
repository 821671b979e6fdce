import { randomUUID } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { createRecoveryRecordStore } from "../../src/channels/recovery-record-store.ts";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { startRedisProcess } from "../support/redis-process.ts";
import { eventually, freshPrefix, quietLog, redisWorld } from "../support/world.ts";

test("a record is written anew where the store lost it or some of it, and never over a later owner's", async () => {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createRecoveryRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };
  const withChannels = (...names: string[]) => ({
    holder,
    starts: new Map(names.map((name) => [name, { epoch: "epoch", offset: 1 }])),
    asOf: "7-0",
  });
  await store.begin("client", "first", withChannels("chat:1"));

  await store.rewrite("client", "first", 0, withChannels("chat:2"));
  expect(await store.find("client")).toMatchObject(withChannels("chat:2"));
  await commands.del(keys.recoveryRecord("client"));
  await store.rewrite("client", "first", 0, withChannels("chat:3"));
  expect(await store.find("client")).toMatchObject(withChannels("chat:3"));

  const { takes } = (await store.take("client", "second", 0))!;
  await store.rewrite("client", "first", 0, withChannels("chat:4"));
  expect(await store.find("client")).toMatchObject(withChannels("chat:3"));
  await commands.hset(keys.recoveryRecord("client"), "owner", "first", "takes", 0);
  await store.rewrite("client", "second", takes, withChannels("chat:5"));
  expect(await store.find("client")).toMatchObject(withChannels("chat:5"));
  await store.keep("client", "first", "chat:6", { epoch: "epoch", offset: 1 });
  expect(await store.find("client")).toMatchObject(withChannels("chat:5"));
});

test("what changes while a record is starts is in it, however many are starts in that moment", async () => {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createRecoveryRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };
  const at = (offset: number) => ({ epoch: "epoch", offset });
  const own = { ...at(1), by: "gateway" } as const;
  const ids = Array.from({ length: 20 }, (_, number) => `client-${number}`);

  await Promise.all(
    ids.flatMap((id) => [
      store.begin(id, "owner", { holder, starts: new Map([["user:ada", own]]), asOf: "7-0" }),
      store.keep(id, "owner", "chat:1", at(2)),
      store.keep(id, "owner", "chat:2", at(3)),
      store.drop(id, "owner", "chat:1"),
    ]),
  );

  const starts = new Map([
    ["user:ada", own],
    ["chat:2", at(3)],
  ]);
  expect(await Promise.all(ids.map((id) => store.find(id)))).toMatchObject(
    ids.map(() => ({ holder, starts, asOf: "7-0" })),
  );
});

test("a change that finds no record of its owner says so, in whatever run its caller believes Redis to be", async () => {
  const { redis, keys } = await redisWorld();
  const store = createRecoveryRecordStore(
    { commands: redis.connection("commands"), keys },
    { windowSeconds: 60, renewEverySeconds: 60 },
  );
  const at = { epoch: "epoch", offset: 1 };
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };

  expect(await store.keep("client", "owner", "chat:1", at)).toBe(false);
  await store.begin("client", "owner", { holder, starts: new Map(), asOf: "7-0" });
  expect(await store.keep("client", "owner", "chat:1", at)).toBe(true);
  expect(await store.drop("client", "owner", "chat:1")).toBe(true);
  expect(await store.drop("client", "another", "chat:1")).toBe(false);
});

test("what an owner delivered last reaches the next one, whether it left first or was taken over, and no other", async () => {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createRecoveryRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };
  const trail = (after: number) => ({ after, channels: [{ name: "chat:1", epoch: "e", start: 1, end: 2 }], sent: [] });
  await store.begin("client", "first", { holder, starts: new Map(), asOf: "7-0" });

  await store.release("client", "first", "8-0", { trail: trail(1) });
  const record = { asOf: "8-0" };
  expect(await store.take("client", "second", 0)).toMatchObject({ before: "", takes: 1, trail: trail(1), record });

  expect(await store.take("client", "third", 1)).toMatchObject({ before: "second", takes: 2, trail: undefined });
  await store.release("client", "first", "8-0", { trail: trail(1) });
  expect(await store.findTrail("client")).toBeUndefined();
  await store.release("client", "second", "8-0", { trail: trail(2) });
  expect(await store.findTrail("client")).toEqual(trail(2));
  expect(await store.take("client", "fourth", 2)).toMatchObject({ before: "third", takes: 3, trail: undefined });
});

describe("the state of a socket", () => {
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };
  const record = (socketState?: string) => ({ holder, starts: new Map(), asOf: "7-0", socketState });

  async function recordStore() {
    const { redis, keys } = await redisWorld();
    const commands = redis.connection("commands");
    return createRecoveryRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
  }

  test("is in the record from its beginning, follows its changes, and is there when its owner has left", async () => {
    const store = await recordStore();
    await store.begin("client", "first", record("a"));
    expect(await store.find("client")).toMatchObject({ socketState: "a" });

    expect(await store.setState("client", "first", "b")).toBe(true);
    expect(await store.setState("client", "another", "c")).toBe(false);
    expect(await store.find("client")).toMatchObject({ socketState: "b" });
    await store.rewrite("client", "first", 0, record("d"));
    await store.release("client", "first", "8-0");
    expect(await store.take("client", "second", 0)).toMatchObject({ leaving: "", record: { socketState: "d" } });

    await store.release("client", "second", "8-0", { socketState: "e" });
    expect(await store.take("client", "third", 1)).toMatchObject({ record: { socketState: "e" } });
    await store.setState("client", "third", "");
    expect((await store.find("client"))?.socketState).toBeUndefined();
  });

  test("is written by an owner from whom the record was taken, once, until its next owner has written its own", async () => {
    const store = await recordStore();
    await store.begin("client", "first", record("a"));
    expect(await store.take("client", "second", 0)).toMatchObject({ leaving: "first", record: { socketState: "a" } });
    expect(await store.findLastState("client", "first")).toBeUndefined();

    expect(await store.release("client", "first", "8-0", { socketState: "b" })).toBe(false);
    expect(await store.findLastState("client", "first")).toBe("b");
    await store.release("client", "first", "8-0", { socketState: "late" });
    expect(await store.find("client")).toMatchObject({ socketState: "b" });

    expect(await store.take("client", "third", 1)).toMatchObject({ leaving: "second" });
    await store.release("client", "second", "8-0", { socketState: "" });
    expect(await store.findLastState("client", "second")).toBe("");

    expect(await store.take("client", "fourth", 2)).toMatchObject({ leaving: "third" });
    await store.setState("client", "fourth", "own");
    await store.release("client", "third", "8-0", { socketState: "late" });
    expect(await store.find("client")).toMatchObject({ socketState: "own" });
  });
});

test("a record that was taken after it was read is not handed over", async () => {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createRecoveryRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };
  await store.begin("client", "first", { holder, starts: new Map(), asOf: "7-0" });
  const { takes } = (await store.find("client"))!;
  await store.take("client", "second", takes);

  // Such as a command that Redis performs after its sender has given it up.
  expect(await store.take("client", "late", takes)).toMatchObject({ before: "second", takes: 1, record: undefined });

  expect(await store.keep("client", "second", "chat:1", { epoch: "epoch", offset: 1 })).toBe(true);
  const again = { before: "second", takes: 2, record: { holder } };
  expect(await store.take("client", "third", (await store.find("client"))!.takes)).toMatchObject(again);
});

describe("a record whose last change was lost with the end of Redis' data", () => {
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", timestamp: 7 };
  const withChannels = (...names: string[]) => ({
    holder,
    starts: new Map(names.map((name) => [name, { epoch: "epoch", offset: 1 }])),
    asOf: "7-0",
  });

  /** Two nodes' stores; the second channel of the first one's client was acknowledged and is lost. */
  async function lossOfTheLastChange() {
    const redis = await startRedisProcess({});
    onTestFinished(() => void redis.stop());
    const keys = createKeys(freshPrefix());
    const [own, other] = [1, 2].map(() => {
      const address = { topology: "single", url: redis.url } as const;
      const connections = createRedisConnections({ address, nodeId: randomUUID(), log: quietLog });
      onTestFinished(() => connections.close());
      const commands = connections.connection("commands");
      return createRecoveryRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
    });
    await eventually(() => own!.begin("client", "first", withChannels("chat:1")));
    await redis.ask("SAVE");
    await own!.keep("client", "first", "chat:2", { epoch: "epoch", offset: 1 });
    await redis.kill();
    await redis.restart();
    return { own: own!, other: other! };
  }

  test("is not handed over, and stays its owner's, until that has written it anew", async () => {
    const { own, other } = await lossOfTheLastChange();

    const early = await eventually(() => other.take("client", "second", 0));
    expect(early).toMatchObject({ before: "first", left: "", takes: 0, record: undefined });
    await eventually(() => own.rewrite("client", "first", 0, withChannels("chat:1", "chat:2")));
    const late = await other.take("client", "second", 0);
    expect(late).toMatchObject({ before: "first", left: "", takes: 1, record: withChannels("chat:1", "chat:2") });
  });

  test("can be written anew after its connection has gone, and not over a later owner's", async () => {
    const { own, other } = await lossOfTheLastChange();

    expect(await eventually(() => own.release("client", "first", "7-0"))).toBe(true);
    const early = await eventually(() => other.take("client", "second", 0));
    expect(early).toMatchObject({ left: "first", record: undefined });
    await own.rewrite("client", "first", 0, withChannels("chat:1", "chat:2"));
    await own.release("client", "first", "7-0");
    const taken = await eventually(() => other.take("client", "second", 0));
    expect(taken).toMatchObject({ before: "", left: "first", takes: 1, record: withChannels("chat:1", "chat:2") });
    expect(await own.release("client", "first", "7-0")).toBe(false);
    await own.rewrite("client", "first", 0, withChannels("chat:3"));
    expect(await other.find("client")).toMatchObject(withChannels("chat:1", "chat:2"));
  });
});
