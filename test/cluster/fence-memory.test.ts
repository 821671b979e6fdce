import { expect, test } from "vitest";
import { createFence } from "../../src/cluster/fence.ts";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { heapMegabytes } from "../support/memory.ts";

/** On which every timer is due at once. */
const hastyClock: Clock = {
  ...systemClock,
  after(_delayMs, run) {
    const immediate = setImmediate(run);
    return () => clearImmediate(immediate);
  },
};

// While Redis is away, clients that go on sending wait a second for the fence with each message.
test("a fence that stays closed keeps nothing of those who waited in vain", async () => {
  const fence = createFence(hastyClock, 2_000);
  const waitInVain = async (): Promise<void> => {
    const waiting = Array.from({ length: 2_500 }, () => fence.openedWithin(1_000));
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([false]));
  };
  await waitInVain();
  const before = heapMegabytes();

  for (let second = 0; second < 10; second++) await waitInVain();

  expect(heapMegabytes() - before).toBeLessThan(4);
});
