import { describe, expect, test } from "vitest";
import { loadScript } from "../../src/redis/scripts.ts";
import type { LimiterOutcome } from "../../src/throttling/rate-limit-result.ts";
import { fixedWindow, slidingWindow, tokenBucket, type Algorithm } from "../../src/throttling/limiter.ts";
import { redisWorld } from "../support/world.ts";
import { seeded } from "../support/random.ts";

/**
 * Runs a script and its pure twin side by side on random acts; the twin is told the time that Redis says it was. Acts come
 * in bursts, so that some are refused however slow the machine is.
 */
async function compare<Rule, State>(algorithm: Algorithm<Rule, State>, rule: Rule, seed: number, acts: number) {
  const { redis, keys } = await redisWorld();
  const random = seeded(seed);
  const script = loadScript(redis.connection("commands"), algorithm.script);
  const answers: { script: LimiterOutcome; model: LimiterOutcome }[] = [];
  let state: State | undefined;
  const take = (cost: number) => script.run([keys.limiter("model", "s")], algorithm.args(rule, cost));
  const compareReply = (cost: number, reply: unknown): void => {
    const [allowed, remaining, retryAfter, resetAfter, now] = reply as [number, number, number, number, number];
    const [next, model] = algorithm.take(rule, state, now, cost);
    state = next;
    answers.push({
      script: { allowed: allowed === 1, remaining, retryAfter: retryAfter === -1 ? Infinity : retryAfter, resetAfter },
      model,
    });
  };
  // The first alone: it loads the script.
  for (let burst = 1; answers.length < acts; burst = 1 + Math.floor(random() ** 2 * 60)) {
    const costs = Array.from({ length: burst }, () => 1 + Math.floor(random() * 4));
    const replies = await Promise.all(costs.map(take));
    for (const [index, cost] of costs.entries()) compareReply(cost, replies[index]);
    await new Promise((resolve) => setTimeout(resolve, random() * 15));
  }
  return answers;
}

const isMixed = (answers: { model: LimiterOutcome }[]): boolean =>
  answers.some(({ model }) => model.allowed) && answers.some(({ model }) => !model.allowed);

describe.each([1, 2, 3])("with random operations (seed %i)", (seed) => {
  test("the token bucket's script matches its model", async () => {
    const answers = await compare(tokenBucket, { capacity: 12, refillPerSecond: 333.3 }, seed, 250);

    expect(answers.map(({ script }) => script)).toEqual(answers.map(({ model }) => model));
    expect(isMixed(answers)).toBe(true);
  });

  test("the sliding window's script matches its model", async () => {
    const answers = await compare(slidingWindow, { requests: 60, windowSeconds: 0.2 }, seed, 250);

    expect(answers.map(({ script }) => script)).toEqual(answers.map(({ model }) => model));
    expect(isMixed(answers)).toBe(true);
  });

  test("the fixed window's script matches its model", async () => {
    const answers = await compare(fixedWindow, { requests: 60, windowSeconds: 0.2 }, seed, 250);

    expect(answers.map(({ script }) => script)).toEqual(answers.map(({ model }) => model));
    expect(isMixed(answers)).toBe(true);
  });
});

describe("foreign state in a limiter's key", () => {
  const rule = { requests: 60, windowSeconds: 60 };
  const slotOf = (windowSeconds: number) => Math.floor((Date.now() * 100) / (windowSeconds * 1_000));
  const takenUnder = (windowSeconds: number) => ({
    head: slotOf(windowSeconds),
    total: 1,
    last: Date.now() * 1_000,
    shift: 0,
    [slotOf(windowSeconds)]: 1,
  });
  const good = takenUnder(rule.windowSeconds);

  test.each([
    ["a negative head", { ...good, head: -1e15 }],
    ["a head without an end", { ...good, head: "inf" }],
    ["a head that was never", { ...good, head: 1 }],
    ["a head in the time to come", { ...good, head: good.head + 1 }],
    ["a head that is no number", { ...good, head: "x" }],
    ["a negative total", { ...good, total: -1e9 }],
    ["a last take beyond all time", { ...good, last: "9".repeat(300) }],
    ["a negative shift", { ...good, shift: -1e18 }],
    ["no last take", { head: -1e15, total: 5 }],
    ["a window of another length", takenUnder(3_600)],
  ])("is an empty sliding window at once: %s", async (_, fields) => {
    const { redis, keys } = await redisWorld();
    const commands = redis.connection("commands");
    const script = loadScript(commands, slidingWindow.script);
    await commands.hset(keys.limiter("model", "s"), fields);

    const [allowed, left] = (await script.run([keys.limiter("model", "s")], slidingWindow.args(rule, 1))) as number[];

    expect([allowed, left]).toEqual([1, 59]);
  });

  test.each(["", "x", "-5:-5", "1:2:3", "inf:nan", "1e9:1"])("is a full bucket or window: %j", async (state) => {
    const { redis, keys } = await redisWorld();
    const commands = redis.connection("commands");
    const answers: unknown[] = [];
    for (const [algorithm, given] of [
      [tokenBucket, tokenBucket.args({ capacity: 60, refillPerSecond: 1 }, 1)],
      [fixedWindow, fixedWindow.args(rule, 1)],
    ] as const) {
      await commands.set(keys.limiter("model", "s"), state);
      const reply = (await loadScript(commands, algorithm.script).run([keys.limiter("model", "s")], given)) as number[];
      answers.push(reply.slice(0, 2));
    }

    expect(answers).toEqual([
      [1, 59],
      [1, 59],
    ]);
  });
});
