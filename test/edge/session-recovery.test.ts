import { expect, test } from "vitest";
import type { TakenRecord } from "../../src/channels/recovery-record-store.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { createSessionRecovery, type SessionRecoveryDeps } from "../../src/connections/session-recovery.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

const holder = { socketId: "s", userId: "ada", sessionId: "session", timestamp: 1 };
const incomplete = { before: "n1/1|7", left: "", takes: 0, trail: undefined, record: undefined };
const complete: TakenRecord = { ...incomplete, takes: 1, record: { holder, starts: new Map(), asOf: "" } };

/** A store whose record is incomplete until its node has rewritten it, at a node that lost its lease in an outage. */
function startRecovery(before: string) {
  const clock = new FakeClock();
  let isRewritten = false;
  const deps = {
    store: { take: () => Promise.resolve({ ...(isRewritten ? complete : incomplete), before }) },
    channels: { restore: () => Promise.resolve({ missed: [], positions: new Map(), deliveryCount: 0, timestamp: 1 }) },
    control: { incarnation: "n1/2", living: [], command: () => Promise.resolve({}) },
    hasState: () => false,
    clock,
    log: quietLog,
  } as unknown as SessionRecoveryDeps;
  const recovery = createSessionRecovery(deps, { windowSeconds: 60, renewEverySeconds: 30, isCluster: false });
  const connection = { identity: holder, subscriber: {}, close: () => undefined } as unknown as Connection;
  const attempt = { privateId: "p", timestamp: 1, record: { holder, starts: new Map(), asOf: "" } };
  /** Each wait begins when the previous one has ended. */
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 100) await clock.advance(100);
  };
  return { pass, restored: recovery.restore(connection, attempt), rewrite: () => void (isRewritten = true) };
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
