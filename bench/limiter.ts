import { randomUUID } from "node:crypto";
import { cpus } from "node:os";
import { createRedisConnections, type RedisClient } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { createCircuitBreaker } from "../src/redis/circuit-breaker.ts";
import { resultOf, monotonicMicros, type RateLimitResult } from "../src/throttling/rate-limit-result.ts";
import { createLimiter, tokenBucket } from "../src/throttling/limiter.ts";
import { takeTokens, type Bucket } from "../src/throttling/token-bucket.ts";
import { createThrottling } from "../src/throttling/throttling.ts";
import { seeded } from "../test/support/random.ts";
import { median } from "./support/machine.ts";
import { table, writeResult } from "./support/results.ts";
import { startRedis } from "./support/measured-servers.ts";

/**
 * What a limiter costs per message, in CPU of the node and of Redis (user and system, whole processes): none, a bucket
 * in the node alone, the user's bucket in Redis for each message, and the same bucket leased in portions as it is by
 * default. All in one run: each round measures all four in turn at the same paced load, each begun anew and warmed up,
 * and what counts is the median over the rounds of the difference to `none` in the same round.
 *
 *     node bench/limiter.ts [rounds] [seconds a slice]      writes bench/results/limiter.md
 */
const rounds = Number(process.argv[2] ?? 7);
const sliceSeconds = Number(process.argv[3] ?? 3);

/** The default. */
const rule = { capacity: 50, refillPerSecond: 20 };
const messagesPerSecond = 16_000;

/** The same load from different numbers of users; leases settle within a few messages of a user. */
const populations = [
  { name: "busy: 1,000 users, 16 messages a second each", users: 1_000, warmUpSeconds: 4 },
  { name: "lively: 4,000 users, 4 a second each", users: 4_000, warmUpSeconds: 8 },
  { name: "quiet: 16,000 users, 1 a second each", users: 16_000, warmUpSeconds: 30 },
];

type Take = (user: number) => RateLimitResult | Promise<RateLimitResult>;

interface Cost {
  node: number;
  redis: number;
}

async function run(): Promise<void> {
  const server = await startRedis();
  const log = createLogger({ level: "warn" });
  const address = { topology: "single" as const, url: `redis://127.0.0.1:${server.port}` };
  const redis = createRedisConnections({ address, nodeId: "bench", log });
  const commands = redis.connection("commands");
  try {
    await redis.ready(5_000);
    const results = [heading()];
    for (const population of populations) results.push(await measurePopulation(population, commands));
    writeResult("limiter", results.join("\n\n"));
  } finally {
    await redis.close();
    await server.stop();
  }
}

const heading = (): string => `# Limiter

CPU (user and system, whole processes) per message over no limiter at all, median of ${rounds} rounds of ${sliceSeconds} s each.
The rule is the default: ${rule.capacity} tokens, ${rule.refillPerSecond} a second for each user, which all stay below. ${messagesPerSecond} messages a second,
from users drawn at random, spread over turns of a millisecond. ${cpus()[0]?.model ?? "?"} × ${cpus().length}, Node ${process.versions.node}.`;

async function measurePopulation(
  { name, users, warmUpSeconds }: (typeof populations)[number],
  commands: RedisClient,
): Promise<string> {
  const ways = waysOf(users, commands);
  const costs = new Map(Object.keys(ways).map((way) => [way, [] as Cost[]]));
  for (let round = 0; round < rounds; round++) {
    for (const [way, begin] of Object.entries(ways)) {
      const { take, stop } = begin();
      await slice(take, users, commands, way === leased ? warmUpSeconds : 0.5);
      costs.get(way)?.push(await slice(take, users, commands, sliceSeconds));
      await stop?.();
    }
  }
  return section(name, costs);
}

const leased = "user's bucket leased in portions";

/** Starts one limiter. */
type Begin = () => { take: Take; stop?: () => Promise<void> };

function waysOf(users: number, commands: RedisClient): Record<string, Begin> {
  const clock = systemClock;
  const log = createLogger({ level: "warn" });
  const ids = Array.from({ length: users }, (_, n) => `user-${n}`);
  const idOf = (user: number): string => ids[user] as string;
  const pass: RateLimitResult = { allowed: true, remaining: 0, retryAfterMs: 0, resetAt: 0, reason: undefined };
  const freshKeys = () => createKeys(`bench-${randomUUID()}`);
  return {
    none: () => ({ take: (user) => ({ ...pass, remaining: idOf(user).length }) }),
    "bucket in the node alone": () => {
      const buckets = new Map<string, Bucket>();
      const take = (user: number): RateLimitResult => {
        const [bucket, outcome] = takeTokens(rule, buckets.get(idOf(user)), monotonicMicros(clock), 1);
        buckets.set(idOf(user), bucket);
        return resultOf(outcome, clock.now());
      };
      return { take };
    },
    "user's bucket in Redis, each message": () => {
      const store = { commands, keys: freshKeys(), clock, breaker: createCircuitBreaker({ clock, log }) };
      const options = { name: "each", rule, whenStoreIsAway: "open" as const };
      const limiter = createLimiter(store, tokenBucket, options);
      return { take: (user) => limiter.take(idOf(user)) };
    },
    [leased]: () => {
      const metrics = { refused: () => undefined };
      const throttling = createThrottling({ commands, keys: freshKeys(), clock, log, metrics });
      throttling.start();
      return {
        take: (user) => throttling.message(idOf(user), { userId: idOf(user) }, "publish"),
        stop: () => throttling.stop(),
      };
    },
  };
}

/** Sends messages at the load's rate; resolves to microseconds of CPU per message. */
async function slice(take: Take, users: number, commands: RedisClient, seconds: number): Promise<Cost> {
  const random = seeded(1);
  const redisBefore = await redisCpuMicros(commands);
  const before = process.cpuUsage();
  const began = performance.now();
  let sent = 0;
  let refused = 0;
  const pending = new Set<Promise<RateLimitResult>>();
  const count = (result: RateLimitResult): void => void (result.allowed || refused++);
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - began) / 1_000) {
    for (const due = Math.floor(elapsed * messagesPerSecond); sent < due; sent++) {
      const result = take(Math.floor(random() * users));
      if (!(result instanceof Promise)) count(result);
      else pending.add(result.then((late) => (count(late), pending.delete(result), late)));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(pending);
  const { user, system } = process.cpuUsage(before);
  if (refused > sent / 100) throw new Error(`${refused} of ${sent} refused: the load is above the rule`);
  return { node: (user + system) / sent, redis: ((await redisCpuMicros(commands)) - redisBefore) / sent };
}

async function redisCpuMicros(commands: RedisClient): Promise<number> {
  const info = await commands.info("cpu");
  const seconds = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1] ?? 0);
  return (seconds("used_cpu_sys") + seconds("used_cpu_user")) * 1_000_000;
}

function section(name: string, costs: Map<string, Cost[]>): string {
  const base = costs.get("none") ?? [];
  const over = (list: Cost[], part: keyof Cost): string =>
    median(list.map((cost, n) => cost[part] - (base[n]?.[part] ?? 0))).toFixed(2);
  const rows = [...costs].map(([way, list]) => [way, over(list, "node"), over(list, "redis")]);
  const heads = ["limiter", "node, µs a message over none", "Redis, µs a message over none"];
  return `## ${name[0]?.toUpperCase()}${name.slice(1)}\n\n${table(heads, rows)}`;
}

await run();
