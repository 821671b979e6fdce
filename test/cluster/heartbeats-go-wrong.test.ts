import { expect, onTestFinished, test } from "vitest";
import { Control } from "../../src/cluster/control.ts";
import { createControlStore, leaseMs, type ControlStore } from "../../src/cluster/control-store.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { within } from "../support/promised.ts";
import { eventually, quietLog, redisWorld } from "../support/world.ts";

type SendHeartbeat = ControlStore["heartbeat"];

/** A node whose heartbeats go through `heartbeat`; `notify` tells it of a new command, as pub/sub does. */
async function nodeWith(heartbeat: (send: SendHeartbeat, store: ControlStore) => SendHeartbeat = (send) => send) {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createControlStore({ commands, keys });
  const seen = { performed: [] as unknown[], dead: [] as string[], notify: (): void => undefined };
  const control = new Control({
    store: { ...store, heartbeat: heartbeat(store.heartbeat, store) },
    clock: systemClock,
    log: quietLog,
    nodeId: "n1",
    onAppended: async (pull) => void (seen.notify = pull),
  });
  control.on("test", ({ n }) => seen.performed.push(n));
  control.onDeadNode((name) => void seen.dead.push(name));
  const start = async (): Promise<void> => {
    await control.start();
    onTestFinished(() => control.stop());
  };
  return { control, store, seen, start, commands, keys };
}

const test1 = (n: number): string => JSON.stringify({ type: "test", n });

test("a node that has left does not come back for a command that is announced afterwards", async () => {
  const { control, store, seen } = await nodeWith();
  await control.start();
  await control.stop();

  seen.notify();
  // One reply after the other: whatever the node sent meanwhile has been answered.
  for (let n = 0; n < 3; n++) await store.append(test1(n));

  const { leases } = await store.heartbeat("other", undefined);
  expect([...(leases?.keys() ?? [])]).toEqual(["other"]);
  await expect(control.membership.livingNow()).rejects.toThrow("Connection is closed.");
});

test("a command that is announced while a node joins is not taken for one from before", async () => {
  const { promise: joined, resolve: answerFirst } = Promise.withResolvers<void>();
  let heartbeats = 0;
  const { store, seen, start } = await nodeWith((send) => async (...args) => {
    const number = ++heartbeats;
    if (number === 2) await store.append(test1(2));
    const reply = await send(...args);
    if (number === 1) await joined;
    return reply;
  });

  const started = start();
  await eventually(() => expect(heartbeats).toBe(1));
  seen.notify();
  answerFirst();
  await started;

  await eventually(() => expect(seen.performed).toEqual([2]));
});

test("a command that cannot be performed keeps no other from being performed, and the fence not closed", () =>
  within(leaseMs, async () => {
    const { control, store, seen, start } = await nodeWith();
    control.on("broken", () => {
      throw new Error("of another version");
    });
    await start();

    const broken = await store.append(JSON.stringify({ type: "broken" }));
    await store.append(test1(1));
    seen.notify();

    await eventually(() => expect(seen.performed).toEqual([1]), leaseMs);
    expect(control.fence.isOpen).toBe(true);
    expect(await store.acknowledgements(broken.id)).toEqual(new Map());
  }));

test("a name whose first heartbeat was not confirmed is not used again: others may have given it up", async () => {
  let isLost = true;
  const names: string[] = [];
  const { control, store, seen, commands, keys, start } = await nodeWith((send) => async (name, ...args) => {
    if (names.at(-1) !== name) names.push(name);
    const reply = await send(name, ...args);
    // The second name's heartbeat is performed, but its reply is lost.
    if (names.length === 2 && isLost) throw new Error("Connection is closed.");
    return reply;
  });
  await start();
  await commands.zadd(keys.nodes(), 1, names[0] as string);
  await eventually(() => expect(names.length).toBe(2));
  // The node is cut off for longer than its lease, and another one notices.
  await commands.zadd(keys.nodes(), 1, names[1] as string);
  expect((await store.heartbeat("other", undefined)).dead).toContain(names[1]);
  isLost = false;

  await eventually(() => expect(control.fence.isOpen).toBe(true));
  expect(control.incarnation).not.toBe(names[1]);
  await eventually(() => expect(seen.dead).toContain(names[1]));
});
