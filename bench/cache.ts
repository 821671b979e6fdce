/**
 * What the cache saves, and where it does not: CPU of Redis' main thread and of the node for one read of a board's
 * page, of an order, and of the same from the cache. A read from the cache includes asking Redis for the board's
 * version, so both are as fresh. Rows take slices of each round in turn; medians count.
 *
 *   node bench/cache.ts [members] [rounds]      writes bench/results/cache.md
 */
import { createCache } from "../src/cache/cache.ts";
import { createKinds } from "../src/channels/kinds.ts";
import { withCachedPages } from "../src/gateway/cached-boards.ts";
import { createLeaderboards } from "../src/leaderboards/leaderboards.ts";
import { Orders } from "../src/orders/orders.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createShardedFeed } from "../src/redis/pubsub/sharded-feed.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { createMetrics } from "../src/runtime/metrics.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { machine } from "./support/machine.ts";
import { inParallel, measure, type Row } from "./support/redis-cost.ts";
import { writeResult } from "./support/results.ts";

const members = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 7);
const workers = 16;

const server = await startRedisServer();
const log = createLogger({ level: "warn" });
const redis = createRedisConnections({ address: { topology: "single", url: server.url }, nodeId: "bench", log });
const commands = redis.connection("commands");
const feed = createShardedFeed({ subscriber: redis.connection("subscriber"), clock });
await redis.ready(5_000);
const keys = createKeys("bench");
const kinds = createKinds({});
const settings = { "*": {} } as never;
const boards = createLeaderboards({ commands, isCluster: false, feed, keys, kinds, clock, log }, { boards: settings });
const cache = createCache({ commands, keys, metrics: createMetrics({ nodeId: "bench" }), clock, log });
const cached = withCachedPages(boards, cache, settings);
const orders = createOrders();

await fillBoard();
await orders.create({ orderId: "o-1", parties: { customer: "ada" } });
for (const status of ["confirmed", "preparing", "ready", "picked_up"]) await orders.apply("o-1", { status });

const rows = [
  ...[10, 100, 1_000].flatMap(rowsOfPages),
  row("order, read", 2_000, () => orders.get("o-1")),
  row("order, kept in the cache and not asked for anew", 2_000, () =>
    cache.read(["orders", "o-1"], () => orders.get("o-1"), { ttlMs: 60_000 }),
  ),
];
const costs = await measure(commands, rounds, rows);
const table = [...costs].map(
  ([name, { redisUs, nodeUs }]) => `| ${name} | ${redisUs.toFixed(1)} | ${nodeUs.toFixed(1)} |`,
);
writeResult(
  "cache",
  [
    "# What the cache saves",
    "",
    `A board of ${members.toLocaleString("en")} members, an order of five statuses, ${workers} reads at once, ` +
      `${rounds} rounds; ${machine()}.`,
    "",
    "| one read | Redis, µs CPU | node, µs CPU |",
    "| --- | --- | --- |",
    ...table,
    "",
    "Pages of 50 entries and more are therefore kept. Smaller ones are not: asking for the version, and looking, cost " +
      "about what they do. Orders are not either: a few microseconds are all there is to gain, for an order that may have " +
      "moved on.",
  ].join("\n"),
);
await redis.close();
await server.stop();

function rowsOfPages(limit: number): Row[] {
  const count = limit === 1_000 ? 200 : 2_000;
  const path = ["boards", "daily", `${limit}`] as const;
  return [
    row(`page of ${limit}, read`, count, () => boards.top("daily", { limit })),
    row(`page of ${limit}, from the cache`, count, () =>
      limit < 50
        ? boards.version("daily").then(() => cache.read(path, () => boards.top("daily", { limit }), { ttlMs: 60_000 }))
        : cached.top("daily", { limit }),
    ),
  ];
}

function row(name: string, count: number, read: () => Promise<unknown>): Row {
  return { name, count, run: (times) => inParallel(times, workers, read) };
}

async function fillBoard(): Promise<void> {
  for (let from = 0; from < members; from += 1_000) {
    const scores = Array.from({ length: 1_000 }, (_, index) => ({
      member: `user-${from + index}`,
      score: ((from + index) * 7_919) % 100_003,
      data: '{"name":"somebody","avatar":12}',
    }));
    await boards.submitMany("daily", scores, { withRanks: false });
  }
}

function createOrders(): Orders {
  const transitions = {
    created: ["confirmed"],
    confirmed: ["preparing"],
    preparing: ["ready"],
    ready: ["picked_up"],
    picked_up: [],
  };
  const historyOf = (channel: string) => kinds.of(channel).history;
  const deadLetter = async (): Promise<void> => undefined;
  const command = async () => ({ count: 0, nodes: 1, acknowledged: 1 });
  const alone = { removeSubscription: () => undefined, command, nodeCount: () => 1 };
  return new Orders({ commands, keys, isCluster: false, historyOf, deadLetter, ...alone, clock, log }, { transitions });
}
