/**
 * What lives in one slot of a Redis Cluster, whatever the number of masters: CPU of Redis' main thread for one operation of each,
 * and how many a second a core would take. The publication that a command or a schedule leads to is not counted: it
 * belongs to the slot of its channel.
 *
 *   node bench/one-slot.ts [operations a slice] [rounds]      writes bench/results/one-slot.md
 */
import { createControlStore } from "../src/cluster/control-store.ts";
import { createScheduleStore } from "../src/commands/schedule-store.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createDueSet } from "../src/redis/queues/due-set.ts";
import { createGroupStore } from "../src/redis/queues/group-store.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { createDeliveryQueueStore } from "../src/webhooks/delivery-queue-store.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { machine } from "./support/machine.ts";
import { inParallel, measure, type Row } from "./support/redis-cost.ts";
import { table, writeResult } from "./support/results.ts";

const operations = Number(process.argv[2] ?? 4_000);
const rounds = Number(process.argv[3] ?? 5);
/** Concurrent calls, as of several busy nodes. */
const concurrent = 64;
const nodeCount = 10;
const command = JSON.stringify({ type: "publish", channel: "chat:1", event: "said", data: { text: "x".repeat(115) } });

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
await redis.ready(5_000);
const keys = createKeys("bench");
let next = 0;

const each = (run: (n: number) => Promise<unknown>) => (count: number) =>
  inParallel(count, concurrent, () => run((next += 1)));

/** Added, read in batches of 256 and acknowledged. */
async function streamRow(): Promise<Row> {
  const names = { stream: keys.commands(), lease: keys.commandsLease(), claim: keys.commandsClaim(0) };
  const store = createGroupStore(
    { commands, blocking: redis.connection("blocking") },
    { ...names, group: "gateway", consumer: "bench" },
    { leaseMs: 3_600_000, suspectAfter: 3, claims: () => false },
  );
  await store.renew();
  return {
    name: "a command of the stream",
    count: operations,
    async run(count) {
      await inParallel(count, concurrent, () => commands.xadd(keys.commands(), "*", "command", command));
      for (let read = 0; read < count;) {
        const result = await store.readNew(256);
        const ids = result.kind === "leader" ? result.entries.map(({ id }) => id) : [];
        await store.acknowledge(ids);
        read += ids.length;
      }
      await store.trim();
    },
  };
}

/** Planned, claimed when it is due, begun and removed. */
function scheduleRow(): Row {
  const store = createScheduleStore({ commands, keys }, 1_000_000);
  return {
    name: "a scheduled publication",
    count: operations,
    async run(count) {
      await each((n) => store.plan({ scheduleId: `s-${n}`, command }, { delayMs: 0 }))(count);
      for (let done = 0; done < count;) {
        const { due } = await store.claim(256);
        await Promise.all(due.map(async (id) => (await store.begin(id), store.remove(id))));
        done += due.length;
      }
    },
  };
}

/** A check of an order's time-out or window: planned, claimed and dropped. */
function dueRow(): Row {
  const due = createDueSet(commands, { key: keys.dueOrders(), leaseMs: 5_000 });
  return {
    name: "a due check, of orders or of keys of a state",
    count: operations,
    async run(count) {
      await each((n) => due.plan([`order-${n}`], 0))(count);
      for (let done = 0; done < count;) {
        const { due: members } = await due.claim(256);
        await due.drop(members);
        done += members.length;
      }
    },
  };
}

/** Enqueued, read and acknowledged, for one endpoint. */
function webhookRow(): Row {
  const store = createDeliveryQueueStore({ commands, keys });
  const endpoint = "endpoint";
  return {
    name: "a webhook message",
    count: operations,
    run: each(async (n) => {
      const [entity, id] = [`order:o-${n}`, `m-${n}`];
      await store.enqueue(entity, { id, type: "order.status", body: command }, [endpoint]);
      await store.head(endpoint, entity);
      await store.ack(endpoint, entity, id);
    }),
  };
}

/** Appended; every node reads it with the heartbeat that it causes. */
async function controlRow(): Promise<Row> {
  const store = createControlStore({ commands, keys });
  const names = Array.from({ length: nodeCount }, (_, n) => `node-${n}`);
  const [{ lastId, version } = { lastId: "", version: "" }] = await Promise.all(
    names.map((name) => store.heartbeat(name, undefined)),
  );
  let followed = lastId;
  return {
    name: `a control command, such as a revocation, at ${nodeCount} nodes`,
    count: Math.ceil(operations / 20),
    run: async (count) => {
      for (let n = 0; n < count; n += 1) {
        const { id } = await store.append('{"type":"session.revoked","sessionId":"s"}');
        await Promise.all(names.map((name) => store.heartbeat(name, followed, true, version)));
        followed = id;
      }
    },
  };
}

try {
  const rows = [await streamRow(), scheduleRow(), dueRow(), webhookRow(), await controlRow()];
  const costs = await measure(commands, rounds, rows);
  const cells = [...costs].map(([name, { redisUs }]) => [
    name,
    redisUs.toFixed(1),
    (Math.round(1_000 / redisUs) * 1_000).toLocaleString("en"),
  ]);
  const text = [
    "# What lives in one slot",
    "",
    `${machine()}; ${operations} operations a slice, ${rounds} rounds. CPU of Redis' main thread.`,
    "",
    table(["operation", "µs", "a second and core"], cells),
  ];
  writeResult("one-slot", text.join("\n"));
} finally {
  await redis.close();
  await server.stop();
}
