import { expect, test } from "vitest";
import { systemClock } from "../../src/runtime/clock.ts";
import { OwnedKeys } from "../../src/state/owned-keys.ts";
import { createStateStore } from "../../src/state/state-store.ts";
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
