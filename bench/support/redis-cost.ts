import type { RedisClient } from "../../src/redis/connections.ts";
import { median } from "./machine.ts";

/** CPU of one of whatever was counted: Redis' main thread, and this process. */
export interface Cost {
  redisUs: number;
  nodeUs: number;
}

/** What does `count` of something in each round. */
export interface Row {
  name: string;
  count: number;
  run(count: number): Promise<void>;
}

/** All rows take their slice of each round in turn, so that a noisy minute hits all of them; medians by name. */
export async function measure(commands: RedisClient, rounds: number, rows: readonly Row[]): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost[]>(rows.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, count, run } of rows) {
      const cost = await costOf(commands, count, () => run(count));
      // The first round only warms up.
      if (round >= 0) costs.get(name)?.push(cost);
    }
  }
  return new Map([...costs].map(([name, all]) => [name, medians(all)]));
}

/** `next` is called `count` times, by so many workers at once. */
export async function inParallel(count: number, workers: number, next: () => Promise<unknown>): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await next();
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

async function costOf(commands: RedisClient, count: number, run: () => Promise<void>): Promise<Cost> {
  const [redisBefore, nodeBefore] = [await redisCpuUs(commands), process.cpuUsage()];
  await run();
  const { user, system } = process.cpuUsage(nodeBefore);
  return { redisUs: ((await redisCpuUs(commands)) - redisBefore) / count, nodeUs: (user + system) / count };
}

async function redisCpuUs(commands: RedisClient): Promise<number> {
  const text = await commands.info("cpu");
  const seconds = ["user", "sys"].map((part) =>
    Number(new RegExp(`used_cpu_${part}_main_thread:([\\d.]+)`).exec(text)?.[1]),
  );
  return seconds.reduce((sum, part) => sum + part, 0) * 1_000_000;
}

function medians(all: readonly Cost[]): Cost {
  return { redisUs: median(all.map(({ redisUs }) => redisUs)), nodeUs: median(all.map(({ nodeUs }) => nodeUs)) };
}
