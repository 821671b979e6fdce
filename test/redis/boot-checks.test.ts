import { describe, expect, onTestFinished, test } from "vitest";
import { examineStore, findingsOf, type StoreFacts } from "../../src/redis/boot-checks.ts";
import { createRedisConnections, type RedisAddress } from "../../src/redis/connections.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { spawnNodeProcess, startNodeProcess, type NodeProcess } from "../support/node-process.ts";
import { owned } from "../support/owned.ts";
import { startRedisProcess, type RedisProcess } from "../support/redis-process.ts";
import { startStore } from "../support/store-lab.ts";
import { freshPrefix, quietLog } from "../support/world.ts";

const good: StoreFacts = { version: "7.0.15", role: "master", policy: "noeviction", isDurable: true, skewMs: 3 };

describe("the settings of a server", () => {
  test("is fine where it keeps everything, on this machine's time", () => {
    expect(findingsOf(good)).toEqual([]);
    expect(findingsOf({ ...good, version: "9.1.0", skewMs: -1_900 })).toEqual([]);
  });

  test.each([
    [{ version: "6.2.14" }, "refuse", /6\.2\.14 is too old.*7\.0/],
    [{ role: "slave" }, "refuse", /replica/],
    [{ policy: "allkeys-lru" }, "refuse", /maxmemory-policy is allkeys-lru/],
    [{ policy: "volatile-ttl" }, "refuse", /maxmemory-policy is volatile-ttl/],
    [{ skewMs: 31_000 }, "failing", /31\.0 s apart.*refuses connections/],
    [{ skewMs: -31_000 }, "failing", /31\.0 s apart.*refuses connections/],
    [{ skewMs: -2_500 }, "degraded", /2\.5 s apart/],
    [{ isDurable: false }, "degraded", /append-only/],
  ] as const)("%o is found: %s", (facts, severity, text) => {
    expect(findingsOf({ ...good, ...facts })).toEqual([{ severity, text: expect.stringMatching(text) }]);
  });
});

describe("examining a store", () => {
  const clockOff = (ms: number): Clock => ({ ...systemClock, now: () => Date.now() + ms });

  async function findingsOf(address: RedisAddress, clock = systemClock) {
    const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
    onTestFinished(() => redis.close());
    await redis.ready(60_000);
    return examineStore(redis.connection("commands"), clock);
  }

  test("reads a real server, and its clock", async () => {
    const server = await serverWith("--appendonly", "yes");
    const address = { topology: "single", url: server.url } as const;

    expect(await findingsOf(address)).toEqual([]);
    // The time that the answer takes blurs it.
    const apart = (seconds: string) => expect.stringMatching(new RegExp(`are ${seconds}\\.\\d s apart`));
    expect(await findingsOf(address, clockOff(-60_000))).toEqual([
      expect.objectContaining({ severity: "failing", text: apart("(59|6[0-3])") }),
    ]);
    expect(await findingsOf(address, clockOff(5_000))).toEqual([
      expect.objectContaining({ severity: "degraded", text: apart("[3-7]") }),
    ]);
  });

  test("finds a database that does not exist, instead of using another", async () => {
    const server = await serverWith("--appendonly", "yes", "--databases", "2");
    const at = (db: number) => findingsOf({ topology: "single", url: `${server.url}/${db}` });

    expect(await at(1)).toEqual([]);
    expect(await at(2)).toEqual([{ severity: "refuse", text: expect.stringMatching(/no database 2 .*REDIS_DB/) }]);
  });

  test("names the master of a Cluster that breaks a rule", async () => {
    const store = owned(await startStore("cluster", { isDurable: true }));
    const bad = store.servers[1]!;
    await bad.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru");

    expect(await findingsOf(store.address)).toEqual([
      { severity: "refuse", text: expect.stringContaining("volatile-lru"), server: `127.0.0.1:${bad.port}` },
    ]);
  });

  test("only notes it if the user may not run INFO", async () => {
    const server = await serverWith();
    await server.ask("ACL", "SETUSER", "gateway", "on", ">secret", "~*", "&*", "+@all", "-info");
    const url = server.url.replace("redis://", "redis://gateway:secret@");

    expect(await findingsOf({ topology: "single", url })).toMatchObject([{ severity: "note" }]);
  });
});

describe("a node that is started", () => {
  test("registers the format of its data, and refuses that of another version with exit code 78", async () => {
    const server = await serverWith();
    const env = { REDIS_URL: server.url, KEY_PREFIX: "formats" };
    const first = await startNodeProcess({ nodeId: "first", env });
    await first.stop();
    expect(await server.ask("GET", "formats:format")).toBe("1");
    await server.ask("SET", "formats:format", "2");

    const second = await spawnNodeProcess({ nodeId: "second", env });

    expect((await second.ended).code).toBe(78);
    expect(second.log()).toMatch(/^ {2}REDIS_URL: Redis has data of format 2.*works on format 1.*upgrading/m);
    expect(await server.ask("GET", "formats:format")).toBe("2");
  });

  test("refuses a Redis that evicts, with exit code 78 and one line", async () => {
    const { code, log } = await endOf(await serverWith("--maxmemory-policy", "allkeys-lru"));

    expect(code).toBe(78);
    expect(log).toMatch(/^ {2}REDIS_URL: maxmemory-policy is allkeys-lru.*noeviction$/m);
  });

  test.each([
    [
      "is out of memory",
      ["--maxmemory", "1"],
      /Redis at 127\.0\.0\.1:\d+ refuses writes, OOM .*: free memory or raise its maxmemory$/m,
    ],
    ["has too few replicas", ["--min-replicas-to-write", "1"], /refuses writes, NOREPLICAS .*: connect the replicas/],
  ])("refuses a Redis that %s, with what it said and what to do", async (_name, args, line) => {
    const { code, log } = await endOf(await serverWith(...args));

    expect(code).toBe(78);
    expect(log).toMatch(line);
    expect(log.match(/REDIS_URL: /g)).toHaveLength(1);
  });

  test("refuses a Redis whose user may not write, with what it said and what to do", async () => {
    const server = await serverWith();
    await server.ask("ACL", "SETUSER", "reader", "on", ">hush-hush", "~*", "&*", "+@all", "-@write");
    const url = server.url.replace("//", "//reader:hush-hush@");
    const node = owned(
      await spawnNodeProcess({ nodeId: "node-1", env: { REDIS_URL: url, KEY_PREFIX: freshPrefix() } }),
    );

    expect((await node.ended).code).toBe(78);
    expect(node.log()).toMatch(/^ {2}REDIS_URL: the Redis user lacks permissions for SET at 127.*NOPERM.*ACL rule\)$/m);
    expect(node.log()).not.toContain("hush-hush");
  });

  test("refuses a replica", async () => {
    const primary = await serverWith();
    const { code, log } = await endOf(await serverWith("--replicaof", "127.0.0.1", `${primary.port}`));

    expect(code).toBe(78);
    expect(log).toMatch(/^ {2}REDIS_URL: this Redis is a read-only replica/m);
  });

  test("starts without an append-only file, and says so in one line and in /readyz", async () => {
    const node = await nodeOn(await serverWith());

    expect((await node.readiness()).body).toMatchObject({
      status: "degraded",
      checks: { store: { status: "degraded", note: expect.stringContaining("append-only") } },
    });
    expect(node.log().match(/append-only/g)).toHaveLength(1);
  });

  test("logs nothing if all is well", async () => {
    const node = await nodeOn(await serverWith("--appendonly", "yes"));

    expect((await node.readiness()).body).toMatchObject({ status: "ready", checks: { store: { status: "ok" } } });
    const warnings = node
      .log()
      .split("\n")
      .filter((line) => line.includes('"level":"warn"'));
    expect(warnings.filter((line) => !line.includes("NODE_ENV"))).toEqual([]);
  });
});

async function serverWith(...args: string[]): Promise<RedisProcess> {
  return owned(await startRedisProcess({ args }));
}

const environmentOf = (server: RedisProcess) => ({ REDIS_URL: server.url, KEY_PREFIX: freshPrefix() });

async function nodeOn(server: RedisProcess): Promise<NodeProcess> {
  return owned(await startNodeProcess({ nodeId: "node-1", env: environmentOf(server) }));
}

async function endOf(server: RedisProcess) {
  const node = owned(await spawnNodeProcess({ nodeId: "node-1", env: environmentOf(server) }));
  const { code } = await node.ended;
  return { code, log: node.log() };
}
