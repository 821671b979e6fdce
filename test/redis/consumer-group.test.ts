import { expect, onTestFinished, test } from "vitest";
import { createConsumerGroup, type HandleEntry } from "../../src/redis/queues/consumer-group.ts";
import type { GroupEntry, GroupStore, ReadResult } from "../../src/redis/queues/group-store.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { FakeClock } from "../support/fake-clock.ts";

interface LeaderOptions {
  acknowledge?: GroupStore["acknowledge"];
  handle?: HandleEntry;
  /** Of a read that Redis has performed. */
  isReplyLost?: (entries: readonly GroupEntry[]) => boolean;
  /** Before this consumer leads. */
  acquire?: () => Promise<ReadResult>;
}

/** A leader of its group, and how often it trims the stream; `entries` are read next. */
function leader({
  acknowledge = async () => undefined,
  handle = async () => true,
  isReplyLost = () => false,
  acquire = async () => ({ kind: "acquired" }),
}: LeaderOptions = {}) {
  const clock = new FakeClock();
  let pending: GroupEntry[] = [];
  const seen = { trims: 0, releases: 0, entries: [] as GroupEntry[] };
  let isLeader = false;
  const store: GroupStore = {
    renew: async () => ({ isLeader: true, isClaimed: false }),
    async readNew() {
      if (!isLeader) return acquire().finally(() => (isLeader = true));
      const entries = seen.entries.splice(0);
      pending.push(...entries);
      if (isReplyLost(entries)) throw new Error("Connection is closed.");
      return { kind: "leader", next: "0-0", entries };
    },
    readPending: async () => ({ kind: "leader", next: undefined, entries: [...pending] }),
    mark: async () => true,
    async acknowledge(ids) {
      await acknowledge(ids);
      pending = pending.filter(({ id }) => !ids.includes(id));
    },
    trim: async () => void seen.trims++,
    waitForEntries: (_id, timeoutMs) => new Promise((resolve) => void clock.after(timeoutMs, resolve)),
    releaseLease: async () => void seen.releases++,
  };
  const log = createLogger({ level: "silent" });
  const group = createConsumerGroup(
    { store, handle, clock, log, isPreferred: () => true },
    { leaseMs: 2_000, suspectAfter: 3 },
  );
  group.start();
  onTestFinished(async () => {
    const stopped = group.stop();
    await clock.advance(10_000);
    await stopped;
  });
  return { clock, seen, group };
}

test("a stream is trimmed a second after entries were acknowledged, and seldom while it is idle", async () => {
  const { clock, seen } = leader();
  await clock.advance(6_000);
  seen.trims = 0;

  await clock.advance(60_000);
  expect(seen.trims).toBeLessThanOrEqual(12);
  expect(seen.trims).toBeGreaterThan(8);

  seen.trims = 0;
  for (let second = 0; second < 20; second++) {
    seen.entries.push({ id: `${second}-1`, fields: [], deliveries: 1 });
    await clock.advance(1_000);
  }
  expect(seen.trims).toBeGreaterThan(15);
});

// Both replies may come in one packet from Redis: then they are handled within a few turns of the microtask queue.
test.each([0, 1, 2, 3, 4, 5])(
  "an entry that ends %i turns after another was acknowledged is acknowledged too",
  async (turns) => {
    const confirmed = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<boolean>();
    const acknowledged: string[] = [];
    const { clock, seen } = leader({
      acknowledge(ids) {
        acknowledged.push(...ids);
        return confirmed.promise;
      },
      handle: ({ id }) => (id === "1-1" ? Promise.resolve(true) : ended.promise),
    });
    await clock.advance(6_000);
    seen.entries.push(...["1-1", "2-1"].map((id) => ({ id, fields: [], deliveries: 1 })));
    await clock.advance(1_000);
    expect(acknowledged).toEqual(["1-1"]);

    confirmed.resolve();
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    ended.resolve(true);
    await clock.advance(1_000);

    expect(acknowledged).toEqual(["1-1", "2-1"]);
  },
);

test("entries whose read was performed but not answered are processed, before those after them", async () => {
  const handled: string[] = [];
  let lost = 0;
  const { clock, seen } = leader({
    handle: async ({ id }) => handled.push(id) > 0,
    isReplyLost: (entries) => entries.length > 0 && (lost += 1) === 1,
  });
  await clock.advance(6_000);

  for (const id of ["1-1", "2-1"]) {
    seen.entries.push({ id, fields: [], deliveries: 1 });
    await clock.advance(1_000);
  }
  await clock.advance(4_000);

  expect(handled).toEqual(["1-1", "2-1"]);
});

test.each([
  ["while it acquires the lease", async (): Promise<ReadResult> => ({ kind: "acquired" })],
  ["when the reply that it has the lease was lost", () => Promise.reject<ReadResult>(new Error("Command timed out"))],
])("a consumer that is stopped %s releases it", async (_when, answer) => {
  const asked = Promise.withResolvers<void>();
  const { clock, seen, group } = leader({ acquire: () => asked.promise.then(answer) });

  const stopped = group.stop();
  asked.resolve();
  await clock.advance(1_000);
  await stopped;

  expect(seen.releases).toBe(1);
});
