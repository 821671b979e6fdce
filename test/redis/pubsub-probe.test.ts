import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { PubSubProbe } from "../../src/redis/pubsub/pubsub-probe.ts";
import {
  createRedisConnections,
  type RedisAddress,
  type RedisClient,
  type RedisConnections,
} from "../../src/redis/connections.ts";
import { createKeys } from "../../src/redis/keys.ts";
import { createShardedFeed } from "../../src/redis/pubsub/sharded-feed.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { FakeClock } from "../support/fake-clock.ts";
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

const intervalMs = 200;

/** A probe that publishes over one connection and listens on another. */
async function startProbe(singing: RedisAddress, listening: RedisAddress = singing, clock: Clock = systemClock) {
  const [singer, listener] = [connect(singing), connect(listening)];
  const [commands, subscriber] = [singer.connection("commands"), listener.connection("subscriber")];
  await Promise.all([singer.ready(60_000), listener.ready(60_000)]);
  const feed = createShardedFeed({ subscriber, clock: systemClock });
  const counts = { reconnects: 0, restorations: 0 };
  feed.onRestored(() => counts.restorations++);
  const keys = createKeys(freshPrefix());
  const onReconnect = (): void => void counts.reconnects++;
  const probe = new PubSubProbe({ feed, commands, keys, clock, log: quietLog, onReconnect }, { intervalMs });
  await probe.start();
  onTestFinished(() => probe.stop());
  return { probe, counts, commands, subscriber };
}

/** Lets the next probe be sent, and arrive if there is a subscription. */
async function nextProbe(clock: FakeClock, { commands, subscriber }: Record<"commands" | "subscriber", RedisClient>) {
  await clock.advance(intervalMs);
  await commands.ping();
  await subscriber.ping();
}

const silenced = async () => {
  const store = owned(await startStore("single", { hasLine: true }));
  const redis = store.servers[0]!;
  return { redis, line: store.line!, direct: single(redis.port), overLine: store.address };
};

test("the probe arrives at once, and nothing is reconnected", async () => {
  const { direct } = await silenced();
  const clock = new FakeClock();
  const { probe, counts, ...connections } = await startProbe(direct, direct, clock);

  await eventually(() => expect(probe.isHealthy).toBe(true));
  for (let passed = 0; passed < 5; passed += 1) await nextProbe(clock, connections);
  expect(probe.isHealthy).toBe(true);

  expect(counts).toEqual({ reconnects: 0, restorations: 0 });
});

test("a silent subscriber is reconnected after three lost probes", async () => {
  const { line, direct, overLine } = await silenced();
  const { probe, counts } = await startProbe(direct, overLine);
  await eventually(() => expect(probe.isHealthy).toBe(true));

  line.silence();
  await eventually(() => expect(probe.isHealthy).toBe(false));
  await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
  await line.heal();

  await eventually(() => expect(counts.restorations).toBeGreaterThan(0));
  await eventually(() => expect(probe.isHealthy).toBe(true));
});

test("a commands connection without replies is reconnected", async () => {
  const { line, direct, overLine } = await silenced();
  const { probe, counts } = await startProbe(overLine, direct);
  await eventually(() => expect(probe.isHealthy).toBe(true));

  line.silence();
  await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
  await line.heal();

  await eventually(() => expect(probe.isHealthy).toBe(true));
});

test.each(["commands", "subscriber"])(
  "a connection for %s that is accepted but never greeted is dropped",
  async (role) => {
    const { direct, redis } = await silenced();
    const deaf = createServer().listen(0, "127.0.0.1");
    await once(deaf, "listening");
    onTestFinished(() => void deaf.close());
    let isDeaf = false;
    const line = owned(await startTcpProxy({ targets: () => [isDeaf ? (deaf.address() as AddressInfo) : redis] }));
    const overLine = single(line.port);
    const { probe, counts } = await (role === "commands" ? startProbe(overLine, direct) : startProbe(direct, overLine));
    await eventually(() => expect(probe.isHealthy).toBe(true));

    isDeaf = true;
    line.reset();
    await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
    isDeaf = false;

    await eventually(() => expect(probe.isHealthy).toBe(true));
  },
);

test("a subscriber connected to the wrong Redis never counts as healthy", async () => {
  const { direct } = await silenced();
  const elsewhere = owned(await startRedisProcess());

  const { probe, counts } = await startProbe(direct, single(elsewhere.port));

  await eventually(() => expect(counts.reconnects).toBeGreaterThan(0));
  expect(probe.isHealthy).toBe(false);
});

test("on a Cluster every master is probed", async () => {
  const store = owned(await startStore("cluster"));

  const { probe } = await startProbe(store.address);

  await eventually(() => expect(probe.isHealthy).toBe(true));
  const heardBy = await Promise.all(store.servers.map((server) => server.ask("PUBSUB", "SHARDCHANNELS", "*probe*")));
  expect(heardBy.map((channels) => (channels as string[]).length)).toEqual([1, 1, 1]);
});

test("a single lost probe is reported as a gap", async () => {
  const { direct } = await silenced();
  const clock = new FakeClock();
  const { probe, counts, subscriber, commands } = await startProbe(direct, direct, clock);
  await eventually(() => expect(probe.isHealthy).toBe(true));
  const [channel = ""] = (await commands.call("PUBSUB", "SHARDCHANNELS", "*probe*")) as string[];

  await subscriber.sunsubscribe(channel);
  await nextProbe(clock, { commands, subscriber });
  await subscriber.ssubscribe(channel);
  await nextProbe(clock, { commands, subscriber });

  await eventually(() => expect(counts).toEqual({ reconnects: 0, restorations: 1 }));
});

test("other messages on the probe's channel are ignored", async () => {
  const { direct } = await silenced();
  const clock = new FakeClock();
  const { probe, counts, subscriber, commands } = await startProbe(direct, direct, clock);
  await eventually(() => expect(probe.isHealthy).toBe(true));
  const [channel = ""] = (await commands.call("PUBSUB", "SHARDCHANNELS", "*probe*")) as string[];

  for (const word of ["", "x", "-1", "0", "1", "999999", "NaN", "1e3", "{}", "\0"])
    await commands.spublish(channel, word);
  await nextProbe(clock, { commands, subscriber });

  expect(counts).toEqual({ reconnects: 0, restorations: 0 });
  expect(probe.isHealthy).toBe(true);
});
