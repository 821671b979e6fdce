import { describe, expect, test } from "vitest";
import { openClient } from "../support/gateway.ts";
import { startNodeProcess, type NodeProcess } from "../support/node-process.ts";
import { owned } from "../support/owned.ts";
import { startRedisProcess } from "../support/redis-process.ts";
import { eventually, freshPrefix } from "../support/world.ts";

type Line = Record<"msg" | "level" | "address" | "reason" | "remedy", string> & { seconds?: number; closed?: number };

/** What a node has logged since it started, all of it JSON. */
const linesOf = (node: NodeProcess): Line[] => {
  const lines = node
    .log()
    .split("\n")
    .filter((line) => line.startsWith("{"));
  const all = lines.map((line) => JSON.parse(line) as Line);
  return all.slice(all.findIndex(({ msg }) => msg === "started") + 1);
};

/** On a busy machine commands may time out as well, which is another line. */
const refusalsIn = (node: NodeProcess): Line[] =>
  linesOf(node).filter(({ level, reason }) => level !== "info" && reason !== "Command timed out");

async function nodeOnRedis(...args: string[]) {
  const redis = owned(await startRedisProcess({ args }));
  const env = { REDIS_URL: redis.url, KEY_PREFIX: freshPrefix() };
  const node = owned(await startNodeProcess({ nodeId: "node-1", env }));
  const publish = () => node.call("POST", "/v1/publish", { channel: "user:ada", event: "said", data: 1 });
  return { redis, node, publish };
}

describe("the log of a node", () => {
  test("logs once that Redis is unreachable, once that it is back, and the counts of a drain", async () => {
    const { redis, node, publish } = await nodeOnRedis();

    await redis.kill();
    await eventually(async () => expect((await node.readiness()).status).toBe(503));
    await eventually(() =>
      expect(linesOf(node).map(({ msg }) => msg)).toContain("lost the connection to Redis; reconnecting"),
    );
    expect((await publish()).body).toMatchObject({ code: "unavailable" });
    await redis.restart();
    await eventually(() => expect(linesOf(node).map(({ msg }) => msg)).toContain("Redis is reachable again"));
    await eventually(async () => expect((await publish()).status).toBe(200));

    expect(linesOf(node).map(({ msg }) => msg)).not.toContain("a connection to Redis was lost and is back");
    const [gone, ...others] = linesOf(node).filter(({ level }) => level !== "info");
    expect(gone).toMatchObject({ address: `127.0.0.1:${redis.port}`, reason: expect.stringContaining("ECONNREFUSED") });
    expect(others.map(({ msg }) => msg)).toEqual([]);
    expect(linesOf(node).find(({ msg }) => msg === "Redis is reachable again")?.seconds).toBeGreaterThan(0);
    await node.stop(60_000);
    expect(linesOf(node).at(-1)).toMatchObject({ msg: "drained", closed: 0, connections: 0 });
  });

  test("logs once that the feed of publications was lost alone, and is back", async () => {
    const { redis, node } = await nodeOnRedis();
    const isAboutFeed = ({ msg }: Line): boolean => msg.startsWith("the feed of publications was lost and is back");

    expect(await redis.ask("CLIENT", "KILL", "TYPE", "pubsub")).toBeGreaterThan(0);

    await eventually(() => expect(linesOf(node).filter(isAboutFeed)).toHaveLength(1));
    expect(linesOf(node).filter(({ level }) => level !== "info")).toEqual([]);
  });

  test("logs once that connections for commands were lost alone, and are back", async () => {
    const { redis, node, publish } = await nodeOnRedis();
    // One that takes longer than a second, as on a busy machine, is an outage.
    const ends = ["a connection to Redis was lost and is back", "Redis is reachable again"];
    const isAboutConnection = ({ msg }: Line): boolean => ends.includes(msg);

    expect(await redis.ask("CLIENT", "KILL", "TYPE", "normal")).toBeGreaterThan(1);

    await eventually(async () => expect((await publish()).status).toBe(200));
    await eventually(() => expect(linesOf(node).filter(isAboutConnection)).toHaveLength(1));
    const { msg, ...fields } = linesOf(node).find(isAboutConnection)!;
    const isOutage = msg === ends[1];
    expect(fields).toMatchObject({
      address: `127.0.0.1:${redis.port}`,
      ...(isOutage ? { seconds: expect.any(Number) } : { role: expect.any(String) }),
    });
    const warnings = linesOf(node).filter(({ level }) => level !== "info");
    expect(warnings.map((line) => line.msg)).toEqual(isOutage ? ["lost the connection to Redis; reconnecting"] : []);
  });

  test("logs that Redis refuses writes and why, as clients and /readyz report it", async () => {
    const { redis, node, publish } = await nodeOnRedis();
    expect((await publish()).status).toBe(200);

    await redis.ask("CONFIG", "SET", "min-replicas-to-write", "1");
    const refusal = { code: "writes_refused", detail: expect.stringContaining("too few replicas are in sync") };
    await eventually(async () => expect((await publish()).body).toMatchObject(refusal));
    expect((await node.call("POST", "/v1/sessions", { userId: "ada" })).body).toMatchObject(refusal);
    await eventually(async () => {
      const { status, body } = await node.readiness();
      expect([status, body.checks?.["redis"]?.note]).toEqual([503, expect.stringContaining("refuses writes")]);
    });
    await redis.ask("CONFIG", "SET", "min-replicas-to-write", "0");
    await eventually(async () => expect((await publish()).status).toBe(200));
    await eventually(() => expect(linesOf(node).map(({ msg }) => msg)).toContain("Redis accepts writes again"));

    expect(refusalsIn(node)).toMatchObject([
      {
        msg: "Redis refuses writes",
        address: `127.0.0.1:${redis.port}`,
        reason: "NOREPLICAS Not enough good replicas to write.",
        remedy: expect.stringContaining("min-replicas-to-write"),
      },
    ]);
  });

  test("logs once that its user lost a permission, which is no bug of the gateway, and what to do", async () => {
    const { redis, node, publish } = await nodeOnRedis();
    expect((await publish()).status).toBe(200);

    await redis.ask("ACL", "SETUSER", "default", "-zadd", "-hset");
    const refusal = { code: "writes_refused", detail: expect.stringContaining("its user may not run a command") };
    await eventually(async () => expect((await publish()).body).toMatchObject(refusal));
    await eventually(async () =>
      expect((await node.readiness()).body.checks?.["redis"]?.note).toContain("its user may not run a command"),
    );
    await redis.ask("ACL", "SETUSER", "default", "+zadd", "+hset");
    await eventually(async () => expect((await publish()).status).toBe(200));
    await eventually(() => expect(linesOf(node).map(({ msg }) => msg)).toContain("Redis accepts writes again"));

    expect(refusalsIn(node)).toMatchObject([{ remedy: expect.stringContaining("ACL rule") }]);
  });

  test("logs that its user may not subscribe any more", async () => {
    const { redis, node } = await nodeOnRedis();
    const { token } = await node.signIn("ada");

    await redis.ask("ACL", "SETUSER", "default", "-ssubscribe");
    const client = openClient(node.url, token);

    await eventually(() =>
      expect(linesOf(node)).toContainEqual(
        expect.objectContaining({ msg: "Redis refuses writes", reason: expect.stringContaining("ssubscribe") }),
      ),
    );
    client.disconnect();
  });

  test("says at /readyz that Redis is loading its data after a restart", async () => {
    // A millisecond for each of many keys, until the test has seen it.
    const { redis, node, publish } = await nodeOnRedis("--appendonly", "yes", "--key-load-delay", "1000");
    await redis.ask("EVAL", 'for i = 1, 60000 do redis.call("SET", "key:" .. i, i) end', 0);

    const restarted = redis.restart();
    const note = "Redis cannot be used: it is loading its data";
    await eventually(async () =>
      expect((await node.readiness()).body.checks?.["redis"]).toEqual({ status: "failing", note }),
    );
    await redis.ask("CONFIG", "SET", "key-load-delay", "0");
    await restarted;

    await eventually(async () => expect((await publish()).status).toBe(200));
    await eventually(async () => expect((await node.readiness()).status).toBe(200));
  });

  test("says that its server has become a read-only replica, in the log and at /readyz", async () => {
    const { redis, node, publish } = await nodeOnRedis();
    const primary = owned(await startRedisProcess());

    await redis.ask("REPLICAOF", "127.0.0.1", `${primary.port}`);
    await eventually(async () => {
      const { status, body } = await node.readiness();
      const note = "Redis cannot be used: it is a read-only replica";
      expect([status, body.checks?.["redis"]]).toEqual([503, { status: "failing", note }]);
    });
    await redis.ask("REPLICAOF", "NO", "ONE");
    await eventually(async () => expect((await publish()).status).toBe(200));

    expect(linesOf(node)).toContainEqual(
      expect.objectContaining({
        msg: "lost the connection to Redis; reconnecting",
        reason: "READONLY You can't write against a read only replica.",
        remedy: expect.stringContaining("name the primary"),
      }),
    );
  });
});
