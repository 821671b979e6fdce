/**
 * What a submission costs: CPU of Redis' main thread and of this process, one by one and in batches, beside the naive
 * recipe (ZADD, ZREVRANGE and the whole board to everybody on every change) on boards of the same size in the same
 * Redis; then what a tick and a burst cost a client in bytes. Rows take slices of each round in turn; medians count.
 *
 *   node bench/leaderboards.ts [members] [rounds]      writes bench/results/leaderboards.md
 */
import { cpus } from "node:os";
import { createKinds } from "../src/channels/kinds.ts";
import { createBoardKeys } from "../src/leaderboards/board-keys.ts";
import { createBoards } from "../src/leaderboards/boards.ts";
import { createLeaderboards, type Leaderboards } from "../src/leaderboards/leaderboards.ts";
import { SeasonClock } from "../src/leaderboards/season-clock.ts";
import { createTickStore } from "../src/leaderboards/tick-store.ts";
import { createTick, type Tick } from "../src/leaderboards/tick.ts";
import { createRedisConnections, type RedisClient } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createShardedFeed } from "../src/redis/pubsub/sharded-feed.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { startRedisServer } from "../test/support/redis-server.ts";
import { inParallel, measure, type Cost, type Row } from "./support/redis-cost.ts";
import { writeResult } from "./support/results.ts";

const members = Number(process.argv[2] ?? 1_000_000);
const rounds = Number(process.argv[3] ?? 7);
const top = 10;
const tickMs = 100;
/** Concurrent calls, as from several backends: single submissions, and batches. */
const concurrency = { single: 64, batch: 8 };

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "warn" }),
});
const commands = redis.connection("commands");
const feed = createShardedFeed({ subscriber: redis.connection("subscriber"), clock: systemClock });
await redis.ready(5_000);
const keys = createKeys("bench");
const leaderboards: Leaderboards = createLeaderboards(
  {
    commands,
    isCluster: false,
    feed,
    keys,
    kinds: createKinds({}),
    clock: systemClock,
    log: createLogger({ level: "warn" }),
  },
  { boards: { "*": { mode: "last", top, tickMs } } },
);
await leaderboards.start?.();

try {
  const parts = [header(), await costOfSubmissions(), await costOfTicks(), await costOfBytes()];
  const report = parts.map((lines) => lines.join("\n")).join("\n\n");
  writeResult("leaderboards", report);
} finally {
  await leaderboards.stop?.(AbortSignal.timeout(1_000));
  await redis.close();
  await server.stop();
}

function header(): string[] {
  return [
    "# Leaderboards",
    "",
    `${members.toLocaleString("en")} members, top ${top}, tick ${tickMs} ms, ${rounds} rounds, ` +
      `${concurrency.single} single calls or ${concurrency.batch} batches under way; ` +
      `Node ${process.versions.node}, ${cpus()[0]?.model ?? "unknown CPU"} × ${cpus().length}.`,
  ];
}

async function costOfSubmissions(): Promise<string[]> {
  const memory = await load();
  const costs = await measure(commands, rounds, [
    { name: "naive: ZADD + ZREVRANGE + board to all, one by one", count: 4_000, run: naive },
    { name: "one by one, with ranks", count: 4_000, run: oneByOne },
    ...[100, 1_000].flatMap((size) => [
      { name: `batches of ${size}, with ranks`, count: 20_000, run: batches(size, true, "last") },
      { name: `batches of ${size}`, count: 20_000, run: batches(size, false, "last") },
    ]),
    {
      name: "batches of 1000, a third of them no better (mode best)",
      count: 20_000,
      run: batches(1_000, false, "best"),
    },
    { name: "bare ZADD of 100 + one ZREVRANGE, no ties, no seasons", count: 20_000, run: bareBatches },
  ]);
  const rows = [...costs].map(([name, { redisUs, nodeUs }]) => {
    const perCore = Math.round(1_000 / redisUs);
    return `| ${name} | ${redisUs.toFixed(2)} | ${perCore} k | ${nodeUs.toFixed(2)} |`;
  });
  return [
    "## A submission",
    "",
    `Every one but those of mode best moves its member to a random place. The board takes ${memory} bytes of Redis a member.`,
    "",
    "| how | Redis, µs CPU | a second on one Redis core | node, µs CPU |",
    "| --- | --- | --- | --- |",
    ...rows,
  ];
}

/** A tick in which five entries of the top moved, without the cost of their submissions. */
async function costOfTicks(): Promise<string[]> {
  const rows: Row[] = [10, 100].flatMap((size) => {
    const board = createBoards({ "*": { mode: "last", top: size, tickMs: 0 } }).of(`tick-${size}`);
    const scores = () => Array.from({ length: 5 }, () => ({ member: `m${random(size)}`, score: randomScore() }));
    const submit = () => leaderboards.submitMany(board.name, scores(), { withRanks: false });
    const tick = createBoardTick();
    return [
      {
        name: `${size}`,
        count: 1_000,
        run: (count) => inParallel(count, 1, () => submit().then(() => tick(board))),
      },
      { name: `${size} without`, count: 1_000, run: (count) => inParallel(count, 1, submit) },
    ];
  });
  const costs = await measure(commands, rounds, rows);
  const net = (size: number, part: keyof Cost) =>
    ((costs.get(`${size}`)?.[part] ?? 0) - (costs.get(`${size} without`)?.[part] ?? 0)).toFixed(0);
  return [
    "## A tick",
    "",
    "| top | Redis, µs CPU | node, µs CPU |",
    "| --- | --- | --- |",
    ...[10, 100].map((size) => `| ${size} | ${net(size, "redisUs")} | ${net(size, "nodeUs")} |`),
  ];
}

function createBoardTick(): Tick {
  const seasons = new SeasonClock(systemClock);
  const keysOf = createBoardKeys(keys);
  const store = createTickStore({ commands, isCluster: false, keys, kinds: createKinds({}), keysOf, seasons });
  return createTick({ store, seasons });
}

/** Fills the naive board and ours; resolves to the bytes of ours per member. */
async function load(): Promise<number> {
  for (let from = 0; from < members; from += 1_000) {
    const scores = Array.from({ length: 1_000 }, (_, index) => [randomScore(), `member-${from + index}`]).flat();
    await commands.zadd("naive", ...scores);
  }
  const before = await usedMemory();
  for (let from = 0; from < members; from += 1_000) {
    const batch = Array.from({ length: 1_000 }, (_, index) => ({
      member: `member-${from + index}`,
      score: randomScore(),
    }));
    await leaderboards.submitMany("bench", batch, { withRanks: false });
  }
  leaderboards.onSubscription({ channel: "leaderboard:bench", isSubscribed: true });
  return Math.round(((await usedMemory()) - before) / members);
}

async function oneByOne(count: number): Promise<void> {
  await inParallel(count, concurrency.single, () =>
    leaderboards.submit("bench", { member: randomMember(), score: randomScore() }),
  );
}

function batches(size: number, withRanks: boolean, mode: "last" | "best"): Row["run"] {
  return (count) =>
    inParallel(count / size, concurrency.batch, () => {
      const batch = Array.from({ length: size }, () => ({ member: randomMember(), score: randomScore(), mode }));
      return leaderboards.submitMany("bench", batch, { withRanks });
    });
}

async function naive(count: number): Promise<void> {
  await inParallel(count, concurrency.single, () => naiveSubmit(commands, randomMember(), randomScore()));
}

/** The naive recipe, publishing the packet as an adapter would; resolves to the packet's bytes. */
async function naiveSubmit(client: RedisClient, member: string, score: number, board = "naive"): Promise<number> {
  await client.zadd(board, score, member);
  const flat = await client.zrevrange(board, 0, top - 1, "WITHSCORES");
  const entries = flat.flatMap((name, index) =>
    index % 2 === 1 ? [] : [{ rank: index / 2 + 1, member: name, score: Number(flat[index + 1]) }],
  );
  const packet = `42${JSON.stringify(["leaderboard", { board, entries }])}`;
  await client.publish("naive-feed", packet);
  return Buffer.byteLength(packet);
}

async function bareBatches(count: number): Promise<void> {
  await inParallel(count / 100, concurrency.batch, () => {
    const scores = Array.from({ length: 100 }, () => [randomScore(), randomMember()]).flat();
    return Promise.all([commands.zadd("naive", ...scores), commands.zrevrange("naive", 0, top - 1, "WITHSCORES")]);
  });
}

/** Bytes sent to one client by the naive recipe and by diffs, for the same scores at a steady rate. */
async function costOfBytes(): Promise<string[]> {
  const rows: string[] = [];
  for (const perSecond of [10, 100, 1_000, 10_000]) {
    const { naiveBytes, diffBytes, diffs } = await bytesAt(perSecond);
    rows.push(
      `| ${perSecond} | ${naiveBytes.toFixed(0)} | ${diffBytes.toFixed(0)} | ${diffs.toFixed(1)} | ${(naiveBytes / diffBytes).toFixed(1)} |`,
    );
  }
  return [
    "## Bytes a client is sent each second",
    "",
    "Scores of 50 members who fight for the top: nearly all of them move it.",
    "",
    "| scores a second | naive | diffs | diffs a second | naive ÷ diffs |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ];
}

async function bytesAt(perSecond: number): Promise<{ naiveBytes: number; diffBytes: number; diffs: number }> {
  const [board, seconds] = [`fight-${perSecond}`, 3];
  let [naiveBytes, diffBytes, diffs] = [0, 0, 0];
  await feed.subscribe(keys.channelFeed(`leaderboard:${board}`), (message) => {
    diffs += 1;
    diffBytes += message.length;
  });
  leaderboards.onSubscription({ channel: `leaderboard:${board}`, isSubscribed: true });
  for (let step = 0; step < seconds * 100; step += 1) {
    const due = Math.round(((step + 1) * perSecond) / 100) - Math.round((step * perSecond) / 100);
    const scores = Array.from({ length: due }, () => ({
      member: `member-${random(50)}`,
      score: randomScore(),
    }));
    await Promise.all([
      leaderboards.submitMany(board, scores, { withRanks: false }),
      // All packets are as long as the board; a few are enough to know their length.
      ...scores.slice(0, 5).map(async ({ member, score }) => {
        const bytes = await naiveSubmit(commands, member, score, `naive-${board}`);
        naiveBytes += (bytes * due) / Math.min(due, 5);
      }),
      new Promise((resolve) => setTimeout(resolve, 10)),
    ]);
  }
  leaderboards.onSubscription({ channel: `leaderboard:${board}`, isSubscribed: false });
  return { naiveBytes: naiveBytes / seconds, diffBytes: diffBytes / seconds, diffs: diffs / seconds };
}

async function usedMemory(): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await commands.info("memory"))?.[1]);
}

function randomMember(): string {
  return `member-${random(members)}`;
}

function randomScore(): number {
  return random(1_000_000);
}

/** A whole number below `limit`. */
function random(limit: number): number {
  return Math.floor(Math.random() * limit);
}
