import { describe, expect, test } from "vitest";
import { loadScript } from "../../src/redis/scripts.ts";
import type { Outcome } from "../../src/throttling/decision.ts";
import { fixedWindow, slidingWindow, tokenBucket, type Algorithm } from "../../src/throttling/limiter.ts";
import { redisWorld } from "../support/world.ts";
import { seeded } from "../support/random.ts";

/** Runs a script and its pure twin side by side on random acts; the twin is told the time that Redis says it was. */
async function compare<Rule, State>(algorithm: Algorithm<Rule, State>, rule: Rule, seed: number, acts: number) {
  const { redis, keys } = await redisWorld();
  const random = seeded(seed);
  const script = loadScript(redis.connection("commands"), algorithm.script);
  const answers: { script: Outcome; model: Outcome }[] = [];
  let state: State | undefined;
  for (let act = 0; act < acts; act++) {
    const cost = 1 + Math.floor(random() * 4);
    const reply = await script.run([keys.limiter("model", "s")], algorithm.args(rule, cost));
    const [allowed, remaining, retryAfter, resetAfter, now] = reply as [number, number, number, number, number];
    const [next, model] = algorithm.take(rule, state, now, cost);
    state = next;
    answers.push({
      script: { allowed: allowed === 1, remaining, retryAfter: retryAfter === -1 ? Infinity : retryAfter, resetAfter },
      model,
    });
    if (random() < 0.1) await new Promise((resolve) => setTimeout(resolve, random() * 15));
  }
  return answers;
}

const isMixed = (answers: { model: Outcome }[]): boolean =>
  answers.some(({ model }) => model.allowed) && answers.some(({ model }) => !model.allowed);

describe.each([1, 2, 3])("with random acts (seed %i)", (seed) => {
  test("the token bucket's script answers exactly as its model", async () => {
    const answers = await compare(tokenBucket, { capacity: 12, refillPerSecond: 333.3 }, seed, 250);

    expect(answers.map(({ script }) => script)).toEqual(answers.map(({ model }) => model));
    expect(isMixed(answers)).toBe(true);
  });

  test("the sliding window's script answers exactly as its model", async () => {
    const answers = await compare(slidingWindow, { requests: 60, windowSeconds: 0.2 }, seed, 250);

    expect(answers.map(({ script }) => script)).toEqual(answers.map(({ model }) => model));
    expect(isMixed(answers)).toBe(true);
  });

  test("the fixed window's script answers exactly as its model", async () => {
    const answers = await compare(fixedWindow, { requests: 60, windowSeconds: 0.2 }, seed, 250);

    expect(answers.map(({ script }) => script)).toEqual(answers.map(({ model }) => model));
    expect(isMixed(answers)).toBe(true);
  });
});
