import { expect, test } from "vitest";
import { createChannelTargets } from "../../src/orders/channel-targets.ts";
import { decideUpdate } from "../../src/orders/decisions.ts";
import { orderDefaults } from "../../src/orders/order-options.ts";
import { createOrderStore, type Save } from "../../src/orders/order-store.ts";
import { createTransitionTable } from "../../src/orders/transitions.ts";
import { transitions } from "../support/order-stories.ts";
import type { OrderControlCommand } from "../../src/orders/orders.ts";
import { startOrdersNode, type OrdersNode } from "../support/orders-node.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const orderId = "o-1";

/** Who loses access with each command, and what the order's timeline named as courier at that moment. */
async function startTwoNodes(during: (nodes: OrdersNode[], command: OrderControlCommand) => Promise<void>) {
  const prefix = freshPrefix();
  const commands: { users: readonly string[]; courier: string | undefined }[] = [];
  const other = await startOrdersNode({ prefix });
  const node = await startOrdersNode({
    prefix,
    async onCommand(command) {
      const { order } = await other.orders.get(orderId);
      commands.push({ users: "users" in command ? command.users : [], courier: order.parties["courier"] });
      await during([node, other], command);
    },
  });
  return { prefix, node, other, commands };
}

/** Lets the checks that restore parties be due, and performs them on a node of their own. */
async function restoreNow(prefix: string, { redis, keys }: OrdersNode): Promise<void> {
  const commands = redis.connection("commands");
  const ofParties = async () =>
    (await commands.zrange(keys.dueOrders(), "0", "-1")).filter((m) => m.includes('"parties"'));
  for (const member of await ofParties()) await commands.zadd(keys.dueOrders(), "0", member);
  await startOrdersNode({ prefix });
  await eventually(async () => expect(await ofParties()).toEqual([]));
}

test("an update that removes who was added meanwhile ends that access first", async () => {
  let isFirst = true;
  const { node, other, commands } = await startTwoNodes(async ([, other]) => {
    if (isFirst) await other?.orders.update(orderId, { parties: { courier: "bob" } });
    isFirst = false;
  });
  await node.orders.create({ orderId, parties: { customer: "ada" } });

  await node.orders.update(orderId, { parties: { courier: null }, data: { n: 1 } });

  expect(commands).toEqual([
    { users: [], courier: undefined },
    { users: ["bob"], courier: "bob" },
  ]);
  expect(await other.orders.mayRead(orderId, "bob")).toBe(false);
  expect((await other.orders.get(orderId)).order.parties).toEqual({ customer: "ada" });
});

test("an update that takes longer than the parties are restored ends their access again before it is saved", async () => {
  const { prefix, node, other, commands } = await startTwoNodes(async ([node]) => {
    expect(await other.orders.mayRead(orderId, "bob")).toBe(false);
    if (commands.length > 1) return;
    await restoreNow(prefix, node as OrdersNode);
    expect(await other.orders.mayRead(orderId, "bob")).toBe(true);
  });
  await node.orders.create({ orderId, parties: { customer: "ada", courier: "bob" } });

  await node.orders.update(orderId, { parties: { courier: "cy" } });

  expect(commands).toEqual([
    { users: ["bob"], courier: "bob" },
    { users: ["bob"], courier: "bob" },
  ]);
  expect(await other.orders.mayRead(orderId, "bob")).toBe(false);
  expect(await other.orders.mayRead(orderId, "cy")).toBe(true);
});

test("what an earlier update scheduled does not give access back that a later one has ended", async () => {
  const { prefix, node, other, commands } = await startTwoNodes(async ([node]) => {
    if (commands.length < 2) return;
    const { redis, keys } = node as OrdersNode;
    const [own] = (await redis.connection("commands").zrevrange(keys.dueOrders(), "0", "0")) as [string];
    await redis.connection("commands").zrem(keys.dueOrders(), own);
    await restoreNow(prefix, node as OrdersNode);
    expect(await other.orders.mayRead(orderId, "cy")).toBe(false);
  });
  await node.orders.create({ orderId, parties: { customer: "ada", courier: "bob" } });
  await node.orders.update(orderId, { parties: { courier: "cy" } });

  await node.orders.update(orderId, { parties: { courier: "dee" } });

  expect(commands.map(({ users }) => users)).toEqual([["bob"], ["cy"]]);
  expect(await other.orders.mayRead(orderId, "cy")).toBe(false);
});

test("an update that ends access asks the nodes once", async () => {
  const { node, other, commands } = await startTwoNodes(async () => undefined);
  await node.orders.create({ orderId, parties: { customer: "ada", courier: "bob", helper: "eve" } });

  await node.orders.update(orderId, { parties: { courier: null, helper: null }, data: { n: 1 } });

  expect(await other.orders.mayRead(orderId, "bob")).toBe(false);
  expect(commands).toEqual([{ users: ["bob", "eve"], courier: "bob" }]);
});

test("an update of the data alone asks no node", async () => {
  const { node, other, commands } = await startTwoNodes(async () => undefined);
  await node.orders.create({ orderId, parties: { customer: "ada" } });

  const { nodes, acknowledged } = await node.orders.update(orderId, { data: { n: 1 } });

  expect((await other.orders.get(orderId)).order.data).toEqual({ n: 1 });
  expect({ nodes, acknowledged, commands }).toEqual({ nodes: 2, acknowledged: 2, commands: [] });
});

test("users get their access back where the update that ended it is never saved", async () => {
  const { prefix, node, other } = await startTwoNodes(async () => {
    throw new Error("killed");
  });
  await node.orders.create({ orderId, parties: { customer: "ada", courier: "bob" } });

  await expect(node.orders.update(orderId, { parties: { courier: "cy" } })).rejects.toThrow("killed");
  expect(await other.orders.mayRead(orderId, "bob")).toBe(false);

  await restoreNow(prefix, node);
  expect(await other.orders.mayRead(orderId, "bob")).toBe(true);
});

test("an update ends access itself that another one has ended, and not everywhere yet, since it was given back", async () => {
  const asked = Promise.withResolvers<void>();
  const everywhere = Promise.withResolvers<void>();
  let third: Promise<unknown> | undefined;
  const { prefix, node, other, commands } = await startTwoNodes(async () => {
    if (commands.length > 1) return;
    // Another update gives the access back, and a third one ends it: some nodes have not heard of that yet.
    await other.orders.update(orderId, { parties: { helper: "eve" } });
    expect(await other.orders.mayRead(orderId, "bob")).toBe(true);
    third = slow.orders.update(orderId, { parties: { courier: "dee" } });
    await asked.promise;
  });
  const slow = await startOrdersNode({
    prefix,
    async onCommand() {
      asked.resolve();
      await everywhere.promise;
    },
  });
  await node.orders.create({ orderId, parties: { customer: "ada", courier: "bob" } });

  await node.orders.update(orderId, { parties: { courier: "cy" } });

  expect(commands).toEqual([
    { users: ["bob"], courier: "bob" },
    { users: ["bob"], courier: "bob" },
  ]);
  everywhere.resolve();
  await third;
  expect((await other.orders.get(orderId)).order.parties).toEqual({ customer: "ada", helper: "eve", courier: "dee" });
});

test("a change of the data gives nobody access back", async () => {
  const { node, other } = await startTwoNodes(async () => {
    await other.orders.update(orderId, { data: { n: 1 } });
    expect(await other.orders.mayRead(orderId, "bob")).toBe(false);
  });
  await node.orders.create({ orderId, parties: { customer: "ada", courier: "bob" } });

  await node.orders.update(orderId, { parties: { courier: "cy" } });

  expect((await other.orders.get(orderId)).order).toMatchObject({ parties: { courier: "cy" }, data: { n: 1 } });
});

test("an update is not saved while a user whom it removes may read the order, whoever allowed it since", async () => {
  const { orders, redis, keys } = await startOrdersNode({ prefix: freshPrefix() });
  const commands = redis.connection("commands");
  const targets = createChannelTargets({ keys, isCluster: false }, () => ({ size: 100, ttlSeconds: 60 }));
  const store = createOrderStore({ commands, keys, targets }, orderDefaults);
  await orders.create({ orderId, parties: { customer: "ada", courier: "bob" } });
  const loaded = await store.load(orderId);
  const removal = { parties: { courier: null } };
  const ended = new Map([["bob", "u-1"]]);
  const given = { endedByUs: ended };
  const { save } = decideUpdate(createTransitionTable(transitions), removal, { ...loaded, ended }, given);

  expect(await store.save(orderId, save as Save)).toBeUndefined();
  expect((await orders.get(orderId)).timeline).toHaveLength(1);

  await store.endAccess(orderId, ["bob"], "u-0");
  expect(await store.save(orderId, save as Save)).toBeUndefined();

  await store.restoreParties(orderId, "u-0");
  expect(await store.endAccess(orderId, ["bob"], "u-1")).toEqual(ended);
  expect(await store.endAccess(orderId, ["bob"], "u-2")).toEqual(ended);
  expect(await store.save(orderId, save as Save)).toHaveLength(1);
  expect((await orders.get(orderId)).timeline).toHaveLength(2);
});
