import { expect, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { startCluster } from "../support/cluster.ts";
import { connectClient, startGateway } from "../support/gateway.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { eventually, redisWorld } from "../support/world.ts";
import { boardFile, channel, follow, returningReader, set } from "./board.ts";

test("subscribers are told of what Redis has lost, with the next change", async () => {
  const gateway = await startGateway({ file: boardFile });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  const view = await follow(client);
  for (const key of ["a", "b"]) await set(client, key, 1);
  await eventually(() => expect(view.values()).toEqual({ a: 1, b: 1 }));
  const { redis } = await redisWorld();
  const { feed: _feed, ...lost } = createKeys(gateway.prefix).channelState(channel);

  await redis.connection("commands").unlink(...Object.values(lost));
  await set(client, "c", 1);

  await eventually(() => expect(view.values()).toEqual({ c: 1 }));
  await set(client, "a", 2);
  await eventually(() => expect(view.values()).toEqual({ a: 2, c: 1 }));
});

test(
  "a node that was given up for dead and lives sets the keys of its connections again",
  { timeout: 120_000 },
  async () => {
    const cluster = await startCluster({ nodes: 2, file: boardFile });
    onTestFinished(() => cluster.stop());
    const [here, frozen] = [cluster.node(0), cluster.node(1)];
    const reader = returningReader(here.url, (await here.signIn("reader")).token);
    onTestFinished(() => void reader.client.disconnect());
    await eventually(() => expect(reader.isUpToDate).toBe(true));
    const owner = await connectClient(frozen.url, (await here.signIn("owner")).token);
    for (const key of ["own", "taken", "removed"]) await set(owner, key, 1, { own: true });
    await eventually(() => expect(reader.values.size).toBe(3));

    frozen.freeze();
    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({}));
    await set(reader.client, "taken", 2);
    frozen.thaw();

    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ own: 1, removed: 1, taken: 2 }));
    expect(owner.connected).toBe(true);
    owner.disconnect();
    await eventually(() => expect(Object.fromEntries(reader.values)).toEqual({ taken: 2 }));
  },
);

test("what is registered for a key is registered again when Redis may have lost it", async () => {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const gateway = await startGateway({ file: boardFile, env: { REDIS_URL: server.url } });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  const { redis } = await redisWorld(server.url);
  const commands = redis.connection("commands");
  const keys = createKeys(gateway.prefix);
  const view = await follow(client);
  await set(client, "soon", 1, { own: true, ttlSeconds: 3 });
  await set(client, "own", 1, { own: true });
  const [node = ""] = await commands.zrange(keys.nodes(), "0", "-1");

  await commands.unlink(keys.dueStates(), keys.stateChannels(), keys.ownedStates(node));
  await server.kill("pubsub");

  await eventually(async () => expect(await commands.smembers(keys.ownedStates(node))).toEqual([channel]));
  await eventually(async () => expect(await commands.zrange(keys.stateChannels(), "0", "-1")).toEqual([channel]));
  await eventually(() => expect(view.values()).toEqual({ own: 1 }));
});

test("a key that is set again after Redis has lost everything still expires", async () => {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const gateway = await startGateway({ file: boardFile, env: { REDIS_URL: server.url } });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  const commands = (await redisWorld(server.url)).redis.connection("commands");
  const { entries } = createKeys(gateway.prefix).channelState(channel);
  await set(client, "soon", 1, { own: true, ttlSeconds: 6 });

  await commands.flushall();
  await eventually(async () => expect(await commands.hkeys(entries)).toEqual(["soon"]));

  await eventually(async () => expect(await commands.hkeys(entries)).toEqual([]));
  expect(client.connected).toBe(true);
});
