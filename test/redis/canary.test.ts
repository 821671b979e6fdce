import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { Canary } from "../../src/redis/canary.ts";
import { createRedisConnections, type RedisAddress, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { createShardedFeed } from "../../src/redis/sharded-feed.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { owned } from "../support/owned.ts";
import { startRedisProcess } from "../support/redis-process.ts";
import { startStore } from "../support/store-lab.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually, freshPrefix, quietLog } from "../support/world.ts";

function connect(address: RedisAddress): RedisConnections {
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  return redis;
}

const single = (port: number): RedisAddress => ({ topology: "single", url: `redis://127.0.0.1:${port}` });

const beatMs = 200;

/** A canary that sings here and listens there. */
async function startCanary(singing: RedisAddress, listening: RedisAddress = singing) {
  const [singer, listener] = [connect(singing), connect(listening)];
  const [commands, subscriber] = [singer.connection("commands"), listener.connection("subscriber")];
  await Promise.all([singer.ready(60_000), listener.ready(5_000)]);
  const feed = createShardedFeed({ subscriber, clock: systemClock });
  const counts = { reconnects: 0, restorations: 0 };
  feed.onRestored(() => counts.restorations++);
  const keys = createKeys(freshPrefix());
  const onReconnect = (): void => void counts.reconnects++;
  const canary = new Canary({ feed, commands, keys, clock: systemClock, log: quietLog, onReconnect }, { beatMs });
  await canary.start();
  onTestFinished(() => canary.stop());
  return { canary, counts, commands, subscriber };
}

const silenced = async () => {
  const store = owned(await startStore("single", { hasLine: true }));
  const redis = store.servers[0]!;
  return { redis, line: store.line!, direct: single(redis.port), overLine: store.address };
};

test("is heard at once where all is well, and nothing is done about it", async () => {
  const { direct } = await silenced();
  const { canary, counts } = await startCanary(direct);

  await eventually(() => expect(canary.isHeard).toBe(true), 100);
  await new Promise((resolve) => setTimeout(resolve, 5 * beatMs));

  expect(counts).toEqual({ reconnects: 0, restorations: 0 });
});

test("a subscriber whose line fell silent is given up after three songs, and comes back over another", async () => {
  const { line, direct, overLine } = await silenced();
  const { canary, counts } = await startCanary(direct, overLine);
  await eventually(() => expect(canary.isHeard).toBe(true));

  line.silence();
  await eventually(() => expect(canary.isHeard).toBe(false));
  await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
  await line.heal();

  await eventually(() => expect(counts.restorations).toBeGreaterThan(0));
  await eventually(() => expect(canary.isHeard).toBe(true));
});

test("commands that Redis no longer answers get another connection", async () => {
  const { line, direct, overLine } = await silenced();
  const { canary, counts } = await startCanary(overLine, direct);
  await eventually(() => expect(canary.isHeard).toBe(true));

  line.silence();
  await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
  await line.heal();

  await eventually(() => expect(canary.isHeard).toBe(true));
});

test.each(["commands", "subscriber"])(
  "a connection for %s that is accepted and never greeted is given up",
  async (role) => {
    const { direct, redis } = await silenced();
    const deaf = createServer().listen(0, "127.0.0.1");
    await once(deaf, "listening");
    onTestFinished(() => void deaf.close());
    let isDeaf = false;
    const line = owned(await startTcpProxy({ targets: () => [isDeaf ? (deaf.address() as AddressInfo) : redis] }));
    const overLine = single(line.port);
    const { canary, counts } = await (role === "commands"
      ? startCanary(overLine, direct)
      : startCanary(direct, overLine));
    await eventually(() => expect(canary.isHeard).toBe(true));

    isDeaf = true;
    line.reset();
    await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
    isDeaf = false;

    await eventually(() => expect(canary.isHeard).toBe(true));
  },
);

test("a subscriber at a Redis that nobody publishes to is never taken for a good one", async () => {
  const { direct } = await silenced();
  const elsewhere = owned(await startRedisProcess());

  const { canary, counts } = await startCanary(direct, single(elsewhere.port));

  await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
  expect(canary.isHeard).toBe(false);
});

test("on a Cluster every master is sung to", async () => {
  const store = owned(await startStore("cluster"));

  const { canary } = await startCanary(store.address);

  await eventually(() => expect(canary.isHeard).toBe(true));
  const heardBy = await Promise.all(store.servers.map((server) => server.ask("PUBSUB", "SHARDCHANNELS", "*canary*")));
  expect(heardBy.map((channels) => (channels as string[]).length)).toEqual([1, 1, 1]);
});

test("a song that is missed between others is told as a gap", async () => {
  const { direct } = await silenced();
  const { canary, counts, subscriber, commands } = await startCanary(direct);
  await eventually(() => expect(canary.isHeard).toBe(true));
  const [channel = ""] = (await commands.call("PUBSUB", "SHARDCHANNELS", "*canary*")) as string[];

  await subscriber.sunsubscribe(channel);
  await new Promise((resolve) => setTimeout(resolve, 1.5 * beatMs));
  await subscriber.ssubscribe(channel);

  await eventually(() => expect(counts).toEqual({ reconnects: 0, restorations: 1 }));
});

test("words of strangers on its channel mean nothing to it", async () => {
  const { direct } = await silenced();
  const { canary, counts, commands } = await startCanary(direct);
  await eventually(() => expect(canary.isHeard).toBe(true));
  const [channel = ""] = (await commands.call("PUBSUB", "SHARDCHANNELS", "*canary*")) as string[];

  for (const word of ["", "x", "-1", "0", "1", "999999", "NaN", "1e3", "{}", "\0"])
    await commands.spublish(channel, word);
  await new Promise((resolve) => setTimeout(resolve, 1.5 * beatMs));

  expect(counts).toEqual({ reconnects: 0, restorations: 0 });
  expect(canary.isHeard).toBe(true);
});
