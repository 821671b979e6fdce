/**
 * What a submission costs: CPU of Redis' main thread and of this process, one by one and in batches, beside the naive
 * recipe (ZADD, ZREVRANGE and the whole board to everybody on every change) on boards of the same size in the same
 * Redis; then what a tick and a burst cost a client in bytes. Rows take slices of each round in turn; medians count.
 *
 *   node bench/leaderboards.ts [members] [rounds]      writes bench/results/leaderboards.md
 */
import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { createKinds } from "../src/channels/kinds.ts";
import { createLeaderboards, type Leaderboards } from "../src/leaderboards/leaderboards.ts";
import { createRedisConnections, type RedisClient } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { createShardedFeed } from "../src/redis/sharded-feed.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { startRedisServer } from "../test/support/redis-server.ts";

const members = Number(process.argv[2] ?? 1_000_000);
const rounds = Number(process.argv[3] ?? 7);
const top = 10;
const tickMs = 100;
/** Calls under way at once, as from several backends: single submissions, and batches. */
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
const watched = new Set<string>();
const leaderboards: Leaderboards = createLeaderboards(
  {
    commands,
    isCluster: false,
    feed,
    keys,
    kinds: createKinds({}),
    watched: (kind) => (kind === "leaderboard" ? watched : []),
    clock: systemClock,
    log: createLogger({ level: "warn" }),
  },
  { boards: { "*": { mode: "last", top, tickMs } } },
);
await leaderboards.start?.();

interface Cost {
  redisUs: number;
  nodeUs: number;
}

interface Row {
  name: string;
  submissions: number;
  /** Submits that many. */
  run(submissions: number): Promise<void>;
}

try {
  const report = [...header(), "", ...(await costOfSubmissions()), "", ...(await costOfBytes())].join("\n");
  console.log(report);
  await writeFile(new URL("./results/leaderboards.md", import.meta.url), `${report}\n`);
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
    "`node bench/leaderboards.ts` measures it again.",
  ];
}

async function costOfSubmissions(): Promise<string[]> {
  const memory = await load();
  const costs = await measure([
    { name: "naive: ZADD + ZREVRANGE + board to all, one by one", submissions: 4_000, run: naive },
    { name: "one by one, with ranks", submissions: 4_000, run: oneByOne },
    ...[100, 1_000].flatMap((size) => [
      { name: `batches of ${size}, with ranks`, submissions: 20_000, run: batches(size, true, "last") },
      { name: `batches of ${size}`, submissions: 20_000, run: batches(size, false, "last") },
    ]),
    {
      name: "batches of 1000, a third of them no better (mode best)",
      submissions: 20_000,
      run: batches(1_000, false, "best"),
    },
    { name: "bare ZADD of 100 + one ZREVRANGE, no ties, no seasons", submissions: 20_000, run: bareBatches },
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

/** Fills the naive board and ours; bytes of ours for each member. */
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
  watched.add("leaderboard:bench");
  return Math.round(((await usedMemory()) - before) / members);
}

async function measure(rows: readonly Row[]): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost[]>(rows.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, submissions, run } of rows) {
      const cost = await costOf(submissions, () => run(submissions));
      if (round >= 0) costs.get(name)?.push(cost);
    }
  }
  return new Map([...costs].map(([name, all]) => [name, medians(all)]));
}

async function costOf(count: number, run: () => Promise<void>): Promise<Cost> {
  const [redisBefore, nodeBefore] = [await redisCpuUs(), process.cpuUsage()];
  await run();
  const { user, system } = process.cpuUsage(nodeBefore);
  return { redisUs: ((await redisCpuUs()) - redisBefore) / count, nodeUs: (user + system) / count };
}

function medians(all: readonly Cost[]): Cost {
  const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  return { redisUs: median(all.map(({ redisUs }) => redisUs)), nodeUs: median(all.map(({ nodeUs }) => nodeUs)) };
}

/** `next` is called `count` times, some at once. */
async function inParallel(count: number, workers: number, next: () => Promise<unknown>): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await next();
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
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

/** The recipe of the tutorials; the packet is published as an adapter would. Bytes of the packet. */
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

/** What one client is sent, by the naive recipe and by diffs, while the same scores come in at a steady rate. */
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
  await feed.follow(keys.channelFeed(`leaderboard:${board}`), (message) => {
    diffs += 1;
    diffBytes += message.length;
  });
  watched.add(`leaderboard:${board}`);
  leaderboards.onSubscription({ channel: `leaderboard:${board}`, isSubscribed: true });
  for (let step = 0; step < seconds * 100; step += 1) {
    const due = Math.round(((step + 1) * perSecond) / 100) - Math.round((step * perSecond) / 100);
    const scores = Array.from({ length: due }, () => ({
      member: `member-${Math.floor(Math.random() * 50)}`,
      score: randomScore(),
    }));
    await Promise.all([
      leaderboards.submitMany(board, scores, { withRanks: false }),
      // Their packets are as long as the board; a few tell the length of all.
      ...scores.slice(0, 5).map(async ({ member, score }) => {
        const bytes = await naiveSubmit(commands, member, score, `naive-${board}`);
        naiveBytes += (bytes * due) / Math.min(due, 5);
      }),
      new Promise((resolve) => setTimeout(resolve, 10)),
    ]);
  }
  watched.delete(`leaderboard:${board}`);
  return { naiveBytes: naiveBytes / seconds, diffBytes: diffBytes / seconds, diffs: diffs / seconds };
}

async function redisCpuUs(): Promise<number> {
  const text = await commands.info("cpu");
  const seconds = ["user", "sys"].map((part) =>
    Number(new RegExp(`used_cpu_${part}_main_thread:([\\d.]+)`).exec(text)?.[1]),
  );
  return seconds.reduce((sum, part) => sum + part, 0) * 1_000_000;
}

async function usedMemory(): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await commands.info("memory"))?.[1]);
}

function randomMember(): string {
  return `member-${Math.floor(Math.random() * members)}`;
}

function randomScore(): number {
  return Math.floor(Math.random() * 1_000_000);
}
