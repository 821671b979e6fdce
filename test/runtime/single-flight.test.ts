import { expect, test } from "vitest";
import { SingleFlight } from "../../src/runtime/single-flight.ts";
import { settled } from "../support/fake-clock.ts";
import { seeded } from "../support/random.ts";

/** Callers that come at random, also at the very end of a run, some of which fail. */
async function callAtRandom(seed: number) {
  const random = seeded(seed);
  const flight = new SingleFlight<number>();
  const unfinished: PromiseWithResolvers<void>[] = [];
  const seen = { atOnce: 0, startedBefore: 0, waiting: 0, results: 0 };
  let [moment, running] = [0, 0];

  const work = async (): Promise<number> => {
    const startedAt = ++moment;
    seen.atOnce = Math.max(seen.atOnce, ++running);
    const end = Promise.withResolvers<void>();
    unfinished.push(end);
    await end.promise.finally(() => running--);
    return startedAt;
  };
  const call = async (): Promise<void> => {
    const askedAt = ++moment;
    seen.waiting += 1;
    try {
      if ((await flight.run("key", work)) < askedAt) seen.startedBefore += 1;
    } catch {
      // A run that failed.
    }
    seen.waiting -= 1;
    seen.results += 1;
    if (random() < 0.4) await call();
  };

  for (let step = 0; step < 200; step++) {
    const what = random();
    if (what < 0.3) void call();
    else if (what < 0.5) unfinished.shift()?.resolve();
    else if (what < 0.6) unfinished.shift()?.reject(new Error("Connection is closed."));
    else if (what < 0.9) await Promise.resolve();
    else await settled();
  }
  while (seen.waiting > 0) {
    unfinished.shift()?.resolve();
    await settled();
  }
  return seen;
}

test("one run at a time, which began after all who share it had asked", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { results, ...seen } = await callAtRandom(seed);
    expect({ seed, ...seen }).toEqual({ seed, atOnce: 1, startedBefore: 0, waiting: 0 });
    expect(results).toBeGreaterThan(20);
  }
});
