import { expect, test } from "vitest";
import { WriteBehind } from "../../src/runtime/write-behind.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

test("what is being written when it is stopped is written once more if that fails", async () => {
  const clock = new FakeClock();
  const writes: { keys: readonly string[]; end: PromiseWithResolvers<void> }[] = [];
  const behind = new WriteBehind(
    {
      write(keys) {
        const end = Promise.withResolvers<void>();
        writes.push({ keys, end });
        return end.promise;
      },
      mayWrite: () => true,
      clock,
      log: quietLog,
    },
    { description: "keys", intervalMs: 10, batchSize: 10 },
  );
  behind.add("a");
  await clock.advance(10);
  expect(writes).toHaveLength(1);

  let isStopped = false;
  const stopped = behind.stop().then(() => (isStopped = true));
  await settled();
  expect(isStopped).toBe(false);
  writes[0]!.end.reject(new Error("Command timed out"));
  await settled();

  expect(writes.map(({ keys }) => keys)).toEqual([["a"], ["a"]]);
  writes[1]!.end.resolve();
  await stopped;
});
