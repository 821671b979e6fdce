import { expect, test } from "vitest";
import { createControlStore, leaseMs } from "../../src/cluster/control-store.ts";
import { within } from "../support/promised.ts";
import { redisWorld } from "../support/world.ts";

async function startStore() {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  return { commands, keys, store: createControlStore({ commands, keys }) };
}

test("a heartbeat has the commands since the last one that was followed, also if that one is gone", async () => {
  const { commands, keys, store } = await startStore();
  const { lastId: start } = await store.heartbeat("n1", undefined);
  const [first, second] = [await store.append("1"), await store.append("2")];
  const since = async (id: string | undefined) => {
    const { lastId, commands: found } = await store.heartbeat("n1", id, true);
    return [lastId, found.map(({ json }) => json)];
  };

  expect(start).toBe("0-0");
  expect(await since(start)).toEqual([second.id, ["1", "2"]]);
  expect(await since(first.id)).toEqual([second.id, ["2"]]);
  expect(await since(second.id)).toEqual([second.id, []]);
  expect(await since(undefined)).toEqual([second.id, []]);
  await commands.xdel(keys.controlLog(), first.id);
  expect(await since(first.id)).toEqual([second.id, ["2"]]);
  await commands.xdel(keys.controlLog(), second.id);
  expect(await since(second.id)).toEqual(["0-0", []]);
});

test("a node that follows a command which Redis has lost continues at the last one that is left", async () => {
  const { store } = await startStore();
  await store.heartbeat("n1", undefined);
  const kept = await store.append("1");

  const { lastId, commands: found } = await store.heartbeat("n1", "9999999999999-0", true);

  expect([lastId, found]).toEqual([kept.id, []]);
});

test("an expired lease is not renewed, by whoever noticed it first", () =>
  within(leaseMs, async () => {
    const { commands, keys, store } = await startStore();
    for (const name of ["n1", "n2", "n3"]) await store.heartbeat(name, undefined);
    await commands.zadd(keys.nodes(), 1, "n1", 1, "n2");

    const own = await store.heartbeat("n1", "0-0", true);
    const removed = await store.heartbeat("n2", "0-0", true);
    const living = await store.heartbeat("n3", "0-0", true);
    const again = await store.heartbeat("n3", "0-0", true);

    expect([own, removed, living, again].map(({ isExpired }) => isExpired)).toEqual([true, true, false, false]);
    expect([...(living.leases?.keys() ?? [])]).toEqual(["n3"]);
    expect(living.dead.toSorted()).toEqual(["n1", "n2"]);
  }));
