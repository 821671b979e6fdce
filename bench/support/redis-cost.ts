import type { RedisClient } from "../../src/redis/connections.ts";
import { median } from "./machine.ts";

/** CPU per operation: Redis' main thread, and this process. */
export interface Cost {
  redisUs: number;
  nodeUs: number;
}

/** A measured operation, run `count` times per round. */
export interface Row {
  name: string;
  count: number;
  run(count: number): Promise<void>;
}

/** Runs all rows in turn in each round, so that noise affects all of them; returns medians by name. */
export async function measure(commands: RedisClient, rounds: number, rows: readonly Row[]): Promise<Map<string, Cost>> {
  const costs = new Map<string, Cost[]>(rows.map(({ name }) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    for (const { name, count, run } of rows) {
      const cost = await costOf(commands, count, () => run(count));
      // The first round is a warm-up.
      if (round >= 0) costs.get(name)?.push(cost);
    }
  }
  return new Map([...costs].map(([name, all]) => [name, medians(all)]));
}

/** Calls `next` `count` times, with `workers` concurrent calls. */
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

export async function redisCpuUs(commands: RedisClient): Promise<number> {
  const text = await commands.info("cpu");
  const seconds = ["user", "sys"].map((part) =>
    Number(new RegExp(`used_cpu_${part}_main_thread:([\\d.]+)`).exec(text)?.[1]),
  );
  return seconds.reduce((sum, part) => sum + part, 0) * 1_000_000;
}

function medians(all: readonly Cost[]): Cost {
  return { redisUs: median(all.map(({ redisUs }) => redisUs)), nodeUs: median(all.map(({ nodeUs }) => nodeUs)) };
}
