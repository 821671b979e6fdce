import { expect, test } from "vitest";
import type { DeliveryTrail } from "../../src/channels/delivery-trail.ts";
import type { TakenRecord } from "../../src/channels/recovery-record-store.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { createSessionRecovery, type SessionRecoveryDeps } from "../../src/connections/session-recovery.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

const holder = { socketId: "s", userId: "ada", sessionId: "session", timestamp: 1 };
const incomplete = { before: "n1/1|7", left: "", takes: 0, trail: undefined, leaving: "", record: undefined };
const complete: TakenRecord = { ...incomplete, takes: 1, record: { holder, starts: new Map(), asOf: "" } };
const found = { holder, starts: new Map(), asOf: "", takes: 0 };

/** Each wait begins when the previous one has ended. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) await clock.advance(100);
}

/** What an attempt to recover meets: the record, and the nodes that live. */
interface Surroundings {
  clock: FakeClock;
  take: SessionRecoveryDeps["store"]["take"];
  living?: readonly string[];
  command?: (command: { owners: unknown[] }) => Promise<unknown>;
  hasLeft: () => boolean;
  findLastState?: () => Promise<string | undefined>;
  /** On a Cluster. */
  findTrail?: () => Promise<DeliveryTrail | undefined>;
}

/** An attempt to recover at the node `n1`. */
const restore = (surroundings: Surroundings) => restoreState(surroundings).restored;

/** The same with what the socket gets back. */
function restoreState({ clock, take, living = [], command = async () => ({}), hasLeft, ...store }: Surroundings) {
  const begun = Promise.withResolvers<unknown>();
  const restored = { missed: [], positions: new Map(), deliveryCount: 0, timestamp: 1 };
  const deps = {
    store: { take, ...store },
    channels: { restore: async (...given: unknown[]) => (begun.resolve(given.at(-1)), restored) },
    control: { incarnation: "n1/2", living, command },
    hasState: () => false,
    clock,
    log: quietLog,
  } as unknown as SessionRecoveryDeps;
  const isCluster = store.findTrail !== undefined;
  const recovery = createSessionRecovery(deps, { windowSeconds: 60, renewEverySeconds: 30, isCluster });
  const connection = { identity: holder, subscriber: {}, close: () => undefined } as unknown as Connection;
  return {
    restored: recovery.restore(connection, { privateId: "p", timestamp: 1, record: found }, hasLeft),
    stateOf: () => recovery.socketStateOf(connection),
    /** The positions that the previous connection's node wrote, by channel. */
    positions: begun.promise,
  };
}

/** A store whose record is incomplete until its node has rewritten it, at a node that lost its lease in an outage. */
function startRecovery(before: string) {
  const clock = new FakeClock();
  let isRewritten = false;
  let hasLeft = false;
  let taken = 0;
  const take = (): Promise<TakenRecord> => {
    taken += 1;
    return Promise.resolve({ ...(isRewritten ? complete : incomplete), before });
  };
  return {
    pass: (ms: number) => pass(clock, ms),
    restored: restore({ clock, take, hasLeft: () => hasLeft }),
    rewrite: () => void (isRewritten = true),
    leave: () => void (hasLeft = true),
    takes: () => taken,
  };
}

test("a client that returns to its node after an outage waits until the node has rewritten its record", async () => {
  const { pass, restored, rewrite } = startRecovery("n1/1|7");

  await pass(1_600);
  rewrite();
  await pass(2_000);

  expect(await restored).toMatchObject({ missed: [] });
});

test("a client whose node is gone does not wait for it", async () => {
  const { pass, restored } = startRecovery("gone/1|7");

  await pass(1_600);

  expect(await restored).toBe("Redis has lost a part of the session");
});

test("an attempt that its client has given up leaves the record to the attempt that followed it", async () => {
  const { pass, restored, rewrite, leave, takes } = startRecovery("n1/1|7");
  await pass(100);
  const before = takes();

  leave();
  rewrite();
  await pass(4_000);

  expect(await restored).toMatch("the client has left");
  expect(takes()).toBe(before);
});

/** A record that other attempts of the client have taken since it was found, and the owners that this attempt closed. */
function startLateAttempt(takesSince: number, hasLeft: () => boolean) {
  const clock = new FakeClock();
  const replaced: unknown[] = [];
  let takes = takesSince;
  const take = async (_id: string, _owner: string, known: number): Promise<TakenRecord> =>
    known === takes
      ? { ...complete, takes: (takes += 1), before: "n2/1|3" }
      : { ...incomplete, takes, before: "n2/1|3" };
  const command = async ({ owners }: { owners: unknown[] }) => void replaced.push(...owners);
  return { clock, restored: restore({ clock, take, living: ["n2/1"], command, hasLeft }), replaced };
}

test("an attempt that is late does not close the connection that its client has made since", async () => {
  const { clock, restored, replaced } = startLateAttempt(1, () => true);

  await pass(clock, 1_000);

  expect(await restored).toMatch("the client has left");
  expect(replaced).toEqual([]);
});

test("an attempt whose client is there goes on from an earlier attempt that took the record meanwhile", async () => {
  const { clock, restored, replaced } = startLateAttempt(1, () => false);

  await pass(clock, 1_000);

  expect(await restored).toMatchObject({ missed: [] });
  expect(replaced).toEqual(["n2/1|3"]);
});

/** A record that was taken from a node that lives, whose last state of the socket comes after some time. */
function startWithState({ comesAfterMs = 0, living = ["n2/1"] }: { comesAfterMs?: number; living?: string[] }) {
  const clock = new FakeClock();
  const comesAt = clock.monotonic() + comesAfterMs;
  const record = { holder, starts: new Map(), asOf: "", socketState: "recorded" };
  const take = async (): Promise<TakenRecord> => ({ ...complete, before: "n2/1|3", leaving: "n2/1|3", record });
  const findLastState = async () => (clock.monotonic() >= comesAt ? "last" : undefined);
  const attempt = { clock, take, living, hasLeft: () => false, findLastState };
  return { clock, ...restoreState(attempt) };
}

test.each([
  ["as it was when the previous connection ended, which its node writes", { comesAfterMs: 300 }, "last"],
  [
    "as it was recorded if the node of the previous connection does not write it in time",
    { comesAfterMs: 9_000 },
    "recorded",
  ],
  ["as it was recorded if that node is gone", { living: [] }, "recorded"],
])("a socket gets its state back %s", async (_how, surroundings, state) => {
  const { clock, restored, stateOf } = startWithState(surroundings);

  await pass(clock, 4_000);

  expect(await restored).toMatchObject({ missed: [] });
  expect(stateOf()).toBe(state);
});

test.each([
  ["of this node", "n1/2|7"],
  ["of this node under the name that it had before an outage", "n1/1|7"],
  ["of another node", "n2/1|7"],
  ["of another node under the name that it had before an outage", "n2/0|7"],
])("on a Cluster a client that leaves a connection %s waits for what that was sent", async (_whose, before) => {
  const clock = new FakeClock();
  const comesAt = clock.monotonic() + 100;
  const trail = { since: 1, after: 1, channels: [{ name: "chat:1", epoch: "e", start: 3, end: 3 }], sent: [] };
  const attempt = {
    clock,
    take: async (): Promise<TakenRecord> => ({ ...complete, before }),
    living: ["n2/1"],
    hasLeft: () => false,
    findTrail: async () => (clock.monotonic() >= comesAt ? trail : undefined),
  };
  const { positions } = restoreState(attempt);

  await pass(clock, 400);

  expect(await positions).toEqual(new Map([["chat:1", { epoch: "e", offset: 3 }]]));
});
