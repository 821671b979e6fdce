import { createServer, type AddressInfo, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { loadPostgres } from "../../src/commands/outbox/postgres.ts";
import { loadConfig } from "../../src/config.ts";
import { needs } from "../../scripts/needs.ts";
import { contract, contractFile } from "../contract/contract.ts";
import { readableLog } from "../support/edge.ts";
import { backend, startGateway, type BackendCalls } from "../support/gateway.ts";
import { startNodeProcess } from "../support/node-process.ts";
import { startPostgresProcess, type OutboxDatabase, type PostgresProcess } from "../support/postgres-process.ts";
import { startRedisProcess } from "../support/redis-process.ts";
import { seeded } from "../support/random.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";

const file = { channels: { chat: { subscribe: "public", history: { size: 1000, ttlSeconds: 60 } } } };

/** Short in the ordinary run; `npm run test:outbox` is the long one. */
const rowCount = Number(process.env["ROWS"] ?? 2_000);
const killCount = Number(process.env["KILLS"] ?? (rowCount > 2_000 ? 12 : 4));
const seed = Number(process.env["SEED"] ?? 16);
const rowsPerKey = 200;
const keyCount = Math.ceil(rowCount / rowsPerKey);

const publishing = (channel: string, data: unknown) => ({ type: "publish", channel, event: "e", data });

const insert = ({ query }: OutboxDatabase, key: string, command: object) =>
  query("INSERT INTO tidegate_outbox (key, command) VALUES ($1, $2) RETURNING id", [key, JSON.stringify(command)]);

const waiting = async ({ query }: OutboxDatabase): Promise<number> =>
  Number((await query("SELECT count(*) AS count FROM tidegate_outbox"))[0]?.["count"]);

const published = async ({ call }: BackendCalls, channel: string): Promise<unknown[]> =>
  (await call("GET", `/v1/channels/${encodeURIComponent(channel)}/history`)).body.publications.map(
    ({ data }: { data: unknown }) => data,
  );

test("the address of the outbox is checked, and its password is not shown", () => {
  for (const OUTBOX_URL of ["mysql://user:hidden@host/db", "hidden"]) {
    expect(() => loadConfig({ OUTBOX_URL })).toThrow(/OUTBOX_URL/);
    expect(() => loadConfig({ OUTBOX_URL })).not.toThrow(/hidden/);
  }
  expect(loadConfig({ OUTBOX_URL: "postgresql://user@host/db" }).outbox?.url).toBe("postgresql://user@host/db");
});

test("a server that is no primary refuses to notify, and keeps no connection of each attempt", async () => {
  const open = new Set<Socket>();
  const ready = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
  const refusal = Buffer.from("SERROR\0C25006\0Mcannot execute LISTEN during recovery\0\0");
  const size = Buffer.alloc(4);
  size.writeUInt32BE(refusal.length + 4);
  const standby = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket)).on("error", () => undefined);
    socket.once("data", () => {
      socket.write(Buffer.concat([Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]), ready]));
      socket.on("data", () => socket.write(Buffer.concat([Buffer.from("E"), size, refusal, ready])));
    });
  });
  await new Promise<void>((resolve) => standby.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of open) socket.destroy();
    standby.close();
  });
  const connect = await loadPostgres(`postgres://app@127.0.0.1:${(standby.address() as AddressInfo).port}/app`);

  await expect(connect(() => undefined)).rejects.toThrow("cannot execute LISTEN during recovery");

  await eventually(() => expect(open.size).toBe(0));
});

test("a node starts and serves while Postgres is away", async () => {
  const gateway = await startGateway({ file, env: { OUTBOX_URL: "postgres://nobody@127.0.0.1:1/none" } });

  expect((await fetch(`${gateway.url}/readyz`)).status).toBe(200);
  expect((await gateway.call("POST", "/v1/publish", publishingOverHttp)).status).toBe(200);
});

const publishingOverHttp = { channel: "chat:a", event: "e", data: 1 };

describe.skipIf(!needs.postgres.isInstalled())("with Postgres", () => {
  let postgres: PostgresProcess;

  beforeAll(async () => {
    postgres = await startPostgresProcess();
  }, 180_000);

  afterAll(() => postgres.stop());

  test("an insert is performed once its transaction commits, in the order of its key, and leaves nothing behind", async () => {
    const outbox = await postgres.createOutbox();
    const gateway = await startGateway({ file, env: { OUTBOX_URL: outbox.url } });

    await outbox.query(`BEGIN; INSERT INTO tidegate_outbox (command) VALUES ('{"type":"x"}'); ROLLBACK`);
    await outbox.query(
      `INSERT INTO tidegate_outbox (key, command)
       SELECT 'key-' || n % 3, json_build_object('type', 'publish', 'channel', 'chat:' || n % 3, 'event', 'e', 'data', n)
       FROM generate_series(0, 299) AS n`,
    );
    await outbox.query(
      `INSERT INTO tidegate_outbox (command) VALUES ('{"type":"order.create","orderId":"o-1","parties":{"customer":"ada"}}')`,
    );

    await eventually(async () => expect(await waiting(outbox)).toBe(0));
    for (const rest of [0, 1, 2]) {
      const all = Array.from({ length: 100 }, (_, n) => n * 3 + rest);
      expect(await published(gateway, `chat:${rest}`)).toEqual(all);
    }
    expect((await gateway.call("GET", "/v1/orders/o-1")).status).toBe(200);
    expect(await outbox.query("SELECT * FROM tidegate_outbox_dead")).toEqual([]);
    const { registry } = gateway.gateway.metrics;
    await eventually(async () =>
      expect(await registry.getSingleMetricAsString("gateway_outbox_lag_seconds")).toMatch(/ 0$/),
    );
  });

  test("Postgres that is away is logged with the reason, and that it is back", async () => {
    const url = new URL((await postgres.createOutbox()).url);
    const target = { host: url.hostname, port: Number(url.port) };
    const proxy = await startTcpProxy({ targets: () => [target] });
    onTestFinished(() => proxy.stop());
    url.port = `${proxy.port}`;
    const { log, lines } = readableLog();
    const logged = (msg: string, more: object = {}) =>
      eventually(() => expect(lines).toContainEqual(expect.objectContaining({ msg, ...more })));

    proxy.cut();
    await startGateway({ file, log, env: { OUTBOX_URL: url.href } });
    const reason = expect.stringContaining("ECONNREFUSED");
    await logged("reading the outbox failed; retrying", { level: "warn", reason });
    await proxy.heal();

    await logged("the outbox can be read again", { level: "info" });
  });

  test("a publication that the contract does not allow is set aside with the field", async () => {
    const outbox = await postgres.createOutbox();
    await startGateway({ file: contractFile, contract, env: { OUTBOX_URL: outbox.url } });

    await insert(outbox, "a", { ...publishing("chat:a", { text: 7 }), event: "said" });

    await eventually(async () => {
      const [letter] = await outbox.query("SELECT code, reason FROM tidegate_outbox_dead");
      expect(letter).toEqual({ code: "bad_request", reason: "data.text: expected string, received number" });
    });
  });

  test("operators list the outbox's dead letters with those of the stream, and replay and remove them", async () => {
    const outbox = await postgres.createOutbox();
    const secret = "operator-secret-of-at-least-thirty-two-bytes";
    const env = { OUTBOX_URL: outbox.url, OPERATORS: `ada:${secret}:admin` };
    const gateway = await startGateway({ file, env });
    const { call } = backend(gateway.url, secret);
    const letters = async (query = "") =>
      (await call("GET", `/v1/operator/dead-letters?of=outbox${query}`)).body.letters as { id: string }[];
    await insert(outbox, "a", { type: "session.update", sessionId: "none", roles: [] });
    await insert(outbox, "b", { type: "nothing" });
    await eventually(async () => expect(await letters()).toHaveLength(2));

    const [first] = await letters("&type=session.update");
    expect(first).toMatchObject({ code: "not_found", tries: 1, at: expect.any(Number), command: expect.any(String) });
    expect(await letters(`&after=${first?.id}`)).toMatchObject([{ code: "bad_request" }]);
    const act = async (what: string, body: object) =>
      (await call("POST", `/v1/operator/dead-letters/${what}`, { of: "outbox", ...body })).body;
    expect(await act("remove", { filter: { code: "bad_request" } })).toEqual({ done: 1, missing: 0, more: false });
    expect(await act("replay", { ids: [first?.id, "999"] })).toEqual({ done: 1, missing: 1, more: false });
    await eventually(async () => {
      const [again] = await letters();
      expect(again).toMatchObject({ code: "not_found" });
      expect(again?.id).not.toBe(first?.id);
    });
    const none = backend((await startGateway({ file, env: { OPERATORS: env.OPERATORS } })).url, secret);
    const refused = await none.call("GET", "/v1/operator/dead-letters?of=outbox");
    expect(refused).toMatchObject({ status: 400, body: { field: "of" } });
  });

  test("what cannot be performed is set aside with the reason, holds up nothing, and can be replayed", async () => {
    const outbox = await postgres.createOutbox();
    const gateway = await startGateway({ file, env: { OUTBOX_URL: outbox.url } });

    await insert(outbox, "a", publishing("chat:a", 1));
    await insert(outbox, "a", publishing("nobody:a", 2));
    await insert(outbox, "a", { type: "nonsense" });
    await insert(outbox, "a", publishing("chat:a", "x".repeat(100_000)));
    await insert(outbox, "b", { type: "order.event", orderId: "o-9", status: "confirmed", sequence: 1 });
    await insert(outbox, "a", publishing("chat:a", 3));

    const codes = () => outbox.query("SELECT code, reason, tries FROM tidegate_outbox_dead ORDER BY id");
    await eventually(async () => expect(await waiting(outbox)).toBe(0));
    expect(await codes()).toEqual([
      { code: "unknown_channel", reason: expect.any(String), tries: 1 },
      { code: "bad_request", reason: expect.stringContaining("type"), tries: 1 },
      { code: "payload_too_large", reason: expect.any(String), tries: 1 },
      // An order that is not there yet may be on its way.
      { code: "not_found", reason: expect.any(String), tries: 5 },
    ]);
    expect(await published(gateway, "chat:a")).toEqual([1, 3]);

    await gateway.call("POST", "/v1/orders", { orderId: "o-9", parties: { customer: "ada" } });
    const [replayed] = await outbox.query(
      "SELECT tidegate_outbox_replay(ARRAY(SELECT id FROM tidegate_outbox_dead WHERE code = 'not_found')) AS count",
    );
    expect(Number(replayed?.["count"])).toBe(1);
    await eventually(async () =>
      expect((await gateway.call("GET", "/v1/orders/o-9")).body.order.status).toBe("confirmed"),
    );
    expect(await codes()).toHaveLength(3);
  });

  test.skipIf(!needs.redis.isInstalled())(
    "while nodes, Postgres and Redis are killed at random every row has one effect, in the order of its key",
    async () => {
      const outbox = await postgres.createOutbox();
      // The channels are read when all rows are through.
      const history = { size: rowsPerKey, ttlSeconds: 86_400 };
      const redis = await startRedisProcess({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
      onTestFinished(() => void redis.stop());
      const nodes = await startNodes(outbox, redis.url, { channels: { chat: { subscribe: "public", history } } });
      const rows = keyCount * rowsPerKey;
      await outbox.query(
        `INSERT INTO tidegate_outbox (key, command)
       SELECT 'key-' || n % $1, CASE WHEN n % 100 = 7 THEN '{"type":"poison"}'::json ELSE
         json_build_object('type', 'publish', 'channel', 'chat:' || n % $1, 'event', 'e', 'data', n / $1) END
       FROM generate_series(0, $2::int - 1) AS n`,
        [keyCount, rows],
      );

      const startedAt = performance.now();
      const stores = [() => postgres.kill().then(postgres.start), () => redis.kill().then(redis.restart)];
      const killed = await killAtRandom(outbox, rows, [...nodes.kills, ...stores]);
      await eventually(async () => expect(await waiting(outbox)).toBe(0), 3_600_000);
      const seconds = (performance.now() - startedAt) / 1_000;
      if (rowCount > 2_000)
        console.log(`${rows} rows in ${seconds.toFixed(0)} s; kills (0, 1: nodes, 2: Postgres, 3: Redis): ${killed}`);

      const [dead] = await outbox.query(
        "SELECT count(*) AS count FROM tidegate_outbox_dead WHERE code = 'bad_request'",
      );
      expect(Number(dead?.["count"])).toBe(rows / 100);
      for (let key = 0; key < keyCount; key++) {
        const wanted = Array.from({ length: rowsPerKey }, (_, n) => n).filter((n) => (n * keyCount + key) % 100 !== 7);
        // A node that has just found Redis again refuses to read at first.
        await eventually(async () => expect(await published(nodes.any(), `chat:${key}`)).toEqual(wanted), 60_000);
      }
      // A node that has just found Postgres again has no lag yet.
      await eventually(async () => expect(await Promise.all(nodes.all().map(lagOf))).toEqual([0, 0]), 60_000);
    },
    3_600_000,
  );

  /** Two nodes; a killed one is started again under its name. */
  async function startNodes(outbox: OutboxDatabase, redisUrl: string, settings: object) {
    const env = {
      REDIS_URL: redisUrl,
      LOG_LEVEL: "error",
      OUTBOX_URL: outbox.url,
    };
    const start = (nodeId: string) => startNodeProcess({ nodeId, env, file: settings });
    const nodes = await Promise.all([start("first"), start("second")]);
    onTestFinished(async () => void (await Promise.all(nodes.map((node) => node.kill()))));
    async function kill(index: number): Promise<void> {
      await nodes[index]?.kill();
      nodes[index] = await start(index === 0 ? "first" : "second");
    }
    return { kills: [() => kill(0), () => kill(1)], any: () => nodes[0], all: () => nodes };
  }

  /** Each kill comes when the next part of the rows is through, and everything is killed in turn; resolves to what was killed. */
  async function killAtRandom(outbox: OutboxDatabase, rows: number, kills: (() => Promise<void>)[]): Promise<string> {
    const random = seeded(seed);
    const moments = Array.from({ length: killCount }, () => rows * (0.1 + 0.8 * random())).toSorted((a, b) => b - a);
    const killed: number[] = [];
    const first = Math.floor(random() * kills.length);
    for (const [index, moment] of moments.entries()) {
      await eventually(async () => expect(await waiting(outbox)).toBeLessThanOrEqual(moment), 3_600_000);
      const which = (first + index) % kills.length;
      killed.push(which);
      await kills[which]?.();
    }
    return killed.join(" ");
  }

  async function lagOf({ url }: { url: string }): Promise<number> {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(/^gateway_outbox_lag_seconds\S* (\S+)$/m.exec(text)?.[1]);
  }
});
