import { expect, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { LocalStates } from "../../src/state/local-states.ts";
import type { StoredState } from "../../src/state/state-change.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

const empty: StoredState = {
  revision: 0,
  timestamp: 0,
  forgotten: 0,
  nextInMs: undefined,
  entries: new Map(),
  removed: new Map(),
};

test("a state that was left and joined again while all are read keeps the feed", async () => {
  const reads: ((read: StoredState) => void)[] = [];
  const subscriptions: { key: string; confirm: PromiseWithResolvers<void> }[] = [];
  const keys = createKeys("test");
  const states = new LocalStates({
    feed: {
      subscribe: (key) => {
        const confirm = Promise.withResolvers<void>();
        subscriptions.push({ key, confirm });
        return confirm.promise;
      },
      unsubscribe: () => undefined,
      onRestored: () => undefined,
    },
    read: () => new Promise((resolve) => reads.push(resolve)),
    deliver: () => undefined,
    mayDeliver: () => true,
    onConflated: () => undefined,
    keys,
    windowOf: () => 0,
    clock: new FakeClock(),
    log: quietLog,
  });
  const subscriber = { id: "c1", userId: "ada" };
  // The last one is read after the 200 before it.
  const channels = Array.from({ length: 201 }, (_, n) => `cursors:${n}`);
  for (const channel of channels) states.add(channel, subscriber);
  const last = channels[200] as string;
  states.readAgain();

  states.remove(last, subscriber);
  states.add(last, subscriber);
  void states.get(last)?.synced();
  for (const { confirm } of subscriptions) confirm.resolve();
  await settled();
  for (const read of reads) read(empty);
  await settled();

  const { feed } = keys.channelState(last);
  expect(subscriptions.filter(({ key }) => key === feed)).toHaveLength(1);
});
