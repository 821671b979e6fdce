import { expect, test } from "vitest";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { OwnedKeys } from "../../src/state/owned-keys.ts";
import { createStateStore } from "../../src/state/state-store.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { heapMegabytes } from "../support/memory.ts";
import { eventually, quietLog, redisWorld } from "../support/world.ts";
import { channel } from "./board.ts";

test("a connection still owns its keys after its node, which has another name, failed to set them again once", async () => {
  const { redis, keys } = await redisWorld();
  const bounds = { keysPerChannel: 10, bytesPerChannel: 10_000, idleSeconds: 60 };
  const store = createStateStore({ commands: redis.connection("commands"), keys }, bounds);
  let node = "n1";
  const attempts: Promise<string[]>[] = [];
  const owned = new OwnedKeys({
    store: {
      remove: store.remove,
      reclaim(...args) {
        const isFirst = attempts.length === 0;
        const attempt = isFirst ? Promise.reject(new Error("Command timed out")) : store.reclaim(...args);
        attempts.push(attempt);
        return attempt;
      },
    },
    register: () => Promise.resolve(),
    incarnation: () => node,
    mayWrite: () => true,
    clock: systemClock,
    log: quietLog,
  });
  const owner = await owned.ownerOf("c1", channel);
  const change = { key: "cursor", value: "1" };
  await store.set(channel, [change], owner);
  owned.note("c1", channel, change, owner);

  node = "n2";
  owned.rewriteAll();
  await eventually(() => expect(attempts).toHaveLength(2));
  expect(await attempts[1]).toEqual(["cursor"]);
  owned.end("c1");

  await eventually(async () => expect((await store.read(channel)).entries.size).toBe(0));
  await owned.stop();
});

/** Keys of this node's connections, of which none is written. */
const ownedHere = (clock: Clock = systemClock) =>
  new OwnedKeys({
    store: { remove: () => Promise.reject(new Error("unused")), reclaim: () => Promise.reject(new Error("unused")) },
    register: () => Promise.resolve(),
    incarnation: () => "n1",
    mayWrite: () => true,
    clock,
    log: quietLog,
  });

test("keys that have expired do not count among those that a connection may own", async () => {
  const clock = new FakeClock();
  const owned = ownedHere(clock);
  const dueAt = clock.now() + 5_000;
  for (let n = 0; n < 1_000; n++) owned.note("c1", channel, { key: `k${n}`, value: "1", dueAt }, "n1|c1");

  await expect(owned.ownerOf("c1", channel)).rejects.toMatchObject({ code: "payload_too_large" });
  await clock.advance(5_000);

  expect(await owned.ownerOf("c1", channel)).toBe("n1|c1");
});

test("a connection that sets a key in one channel after the other, and removes it again, takes no memory for them", () => {
  const owned = ownedHere();
  const change = { key: "cursor", value: "1" };
  const before = heapMegabytes();

  for (let n = 0; n < 30_000; n++) {
    owned.note("c1", `board:${n}`, change, "n1|c1");
    owned.disown("c1", `board:${n}`, "cursor");
  }

  expect(heapMegabytes() - before).toBeLessThan(3);
  owned.end("c1");
});
