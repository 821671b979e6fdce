import { describe, expect, onTestFinished, test } from "vitest";
import { createCacheStore } from "../../src/cache/cache-store.ts";
import type { CacheKey } from "../../src/cache/cache.ts";
import { startCacheNode, type CacheNode } from "../support/cache-node.ts";
import { clusterOfOne } from "../support/cluster-of-one.ts";
import { within } from "../support/promised.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const path: CacheKey = ["boards", "daily", "0-10"];
const minute = { ttlMs: 60_000 };

/** A node that has waited longer for another loads by itself. */
const patienceMs = 2_000;

/** Something that costs to load: counts how often it was, and is another each time. */
function source(takesMs = 0) {
  const loads = { count: 0 };
  const load = async (): Promise<{ version: number }> => {
    const version = ++loads.count;
    if (takesMs > 0) await passed(takesMs);
    return { version };
  };
  return { load, loads };
}

const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function startNodes(count: number): Promise<CacheNode[]> {
  const prefix = freshPrefix();
  return Promise.all(Array.from({ length: count }, () => startCacheNode({ prefix })));
}

describe("a value", () => {
  test("is loaded once, then read from memory, on another node from Redis", async () => {
    const [one, other] = (await startNodes(2)) as [CacheNode, CacheNode];
    const { load, loads } = source();

    for (const node of [one, one, other, other]) expect(await node.read(path, load, minute)).toEqual({ version: 1 });

    expect(loads.count).toBe(1);
    expect(await one.reads()).toEqual({ loaded: 1, memory: 1 });
    expect(await other.reads()).toEqual({ store: 1, memory: 1 });
  });

  test("is reloaded when it has expired", async () => {
    const [node] = (await startNodes(1)) as [CacheNode];
    const { load } = source();
    await node.read(path, load, { ttlMs: 50 });

    await passed(60);

    expect(await node.read(path, load, { ttlMs: 50 })).toEqual({ version: 2 });
  });

  test("that is stale is returned immediately and reloaded once in the background", async () => {
    const [node] = (await startNodes(1)) as [CacheNode];
    const { load: loadNow, loads } = source();
    const options = { ...minute, staleMs: 60_000 };
    await node.read(path, loadNow, { ...options, ttlMs: 1 });
    await passed(10);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const load = () => released.then(loadNow);

    const stale = await Promise.all(Array.from({ length: 20 }, () => node.read(path, load, options)));

    expect(new Set(stale.map(({ version }) => version))).toEqual(new Set([1]));
    release();
    await eventually(async () => expect(await node.read(path, load, minute)).toEqual({ version: 2 }));
    expect(loads.count).toBe(2);
  });

  test("that is stale in Redis is returned immediately on a node without it, and reloaded in the background", async () => {
    const [one, other] = (await startNodes(2)) as [CacheNode, CacheNode];
    const { load } = source();
    const options = { ...minute, staleMs: 60_000 };
    await one.read(path, load, { ...options, ttlMs: 1 });
    await passed(10);

    expect(await other.read(path, load, options)).toEqual({ version: 1 });

    await eventually(async () => expect(await other.read(path, load, minute)).toEqual({ version: 2 }));
    expect(await other.reads()).toMatchObject({ stale: 1, loaded: 1 });
  });

  test("that cannot be loaded rejects all readers with its own error, and is not cached", async () => {
    const [node] = (await startNodes(1)) as [CacheNode];
    const broken = new Error("no such board");
    const fail = async (): Promise<never> => {
      throw broken;
    };

    const asked = Array.from({ length: 3 }, () => node.read(path, fail, minute).catch((error: unknown) => error));
    expect(await Promise.all(asked)).toEqual([broken, broken, broken]);

    expect(await node.read(path, source().load, minute)).toEqual({ version: 1 });
  });

  test("may have any untrusted key", async () => {
    const [node] = (await startNodes(1)) as [CacheNode];
    const names = ["a/b", "a:b", "a b", "*", "{a}", "../a", "ä", "x".repeat(10_000), "\0", "a%2Fb"];

    for (const name of names) await node.read(["boards", name], async () => name, minute);

    for (const name of names) expect(await node.read(["boards", name], async () => "another", minute)).toBe(name);
  });
});

describe("one load is enough", () => {
  test("for all readers of a node", async () => {
    const [node] = (await startNodes(1)) as [CacheNode];
    const { load, loads } = source(50);

    const values = await Promise.all(Array.from({ length: 50 }, () => node.read(path, load, minute)));

    expect(loads.count).toBe(1);
    expect(new Set(values.map(({ version }) => version)).size).toBe(1);
  });

  test("for all nodes", async () => {
    const nodes = await startNodes(3);
    let attempts = 0;

    await within(patienceMs, async () => {
      const { load, loads } = source(100);
      const own: CacheKey = [...path, `${(attempts += 1)}`];
      const values = await Promise.all(
        Array.from({ length: 60 }, (_, index) => nodes[index % 3]!.read(own, load, minute)),
      );

      expect(loads.count).toBe(1);
      expect(new Set(values.map(({ version }) => version)).size).toBe(1);
    });
  });

  test("but another node loads if the loading node crashed", { timeout: 120_000 }, async () => {
    const [node] = (await startNodes(1)) as [CacheNode];
    const { load } = source();
    const store = createCacheStore({ commands: node.redis.connection("commands"), keys: node.keys });
    expect((await store.getOrClaim("boards/daily/0-10", 0)).isClaimed).toBe(true);

    expect(await node.read(path, load, minute)).toEqual({ version: 1 });
  });
});

test("a node's memory is bounded in bytes; other values come from Redis", async () => {
  const node = await startCacheNode({ prefix: freshPrefix(), memoryBytes: 100_000 });
  for (let index = 0; index < 50; index += 1) {
    await node.read(["pages", `${index}`], async () => "x".repeat(10_000), minute);
  }

  await node.read(["pages", "0"], async () => "lost", minute);
  await node.read(["pages", "49"], async () => "lost", minute);

  expect(await node.reads()).toEqual({ loaded: 50, store: 1, memory: 1 });
});

test("while Redis is unreachable each node loads for itself, and cached values stay valid", async () => {
  const redis = await startRedisServer();
  onTestFinished(() => redis.stop());
  const node = await startCacheNode({ prefix: freshPrefix(), address: { topology: "single", url: redis.url } });
  const { load } = source();
  await node.read(path, load, minute);
  await redis.stop();

  expect(await node.read(path, load, minute)).toEqual({ version: 1 });
  expect(await node.read(["boards", "other"], load, minute)).toEqual({ version: 2 });
  expect(await node.read(["boards", "other"], load, minute)).toEqual({ version: 2 });
});

test("all of it works on a Redis in Cluster mode", async () => {
  const address = { topology: "cluster" as const, urls: [await clusterOfOne()] };
  const prefix = freshPrefix();
  const [one, other] = await Promise.all([startCacheNode({ prefix, address }), startCacheNode({ prefix, address })]);
  let attempts = 0;

  await within(patienceMs, async () => {
    const { load, loads } = source(20);
    const own: CacheKey = [...path, `${(attempts += 1)}`];
    await Promise.all([one, other].map((node) => node.read(own, load, minute)));

    expect(loads.count).toBe(1);
  });
});
