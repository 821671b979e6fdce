import { expect, test } from "vitest";
import { startOrdersNode } from "../support/orders-node.ts";
import { seeded } from "../support/random.ts";
import { freshPrefix } from "../support/world.ts";

const users = ["ada", "bob", "cy", "dee"];
const roles = ["courier", "helper"];
const next: Record<string, string[]> = {
  created: ["confirmed", "cancelled"],
  confirmed: ["cooking"],
  cooking: ["ready"],
};

const textOf = (parties: Record<string, string>) =>
  JSON.stringify(["customer", ...roles].map((role) => parties[role] ?? null));

interface ModelOrder {
  parties: Record<string, string>;
  data: unknown;
  status: string;
  entries: number;
}

test("parties, lists, searches and timelines agree with a model in 200 random operations", async () => {
  const prefix = freshPrefix();
  const nodes = await Promise.all([startOrdersNode({ prefix }), startOrdersNode({ prefix })]);
  const { orders } = nodes[0];
  const random = seeded(11);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const model = new Map<string, ModelOrder>();
  const idsOf = (matches: (order: ModelOrder) => boolean) =>
    [...model].flatMap(([orderId, order]) => (matches(order) ? [orderId] : [])).toSorted();
  const isParty = ({ parties }: ModelOrder, user: string) => Object.values(parties).includes(user);

  /** All orders that match, read in pages. */
  async function pagesOf(query: { user?: string; status?: string }): Promise<string[]> {
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page: Awaited<ReturnType<typeof orders.list>> = await pick(nodes).orders.list({
        ...query,
        limit: 2,
        cursor,
      });
      ids.push(...page.orders.map(({ orderId }) => orderId));
      ({ cursor } = page);
    } while (cursor !== undefined);
    return ids.toSorted();
  }

  function leave(orderId: string, order: ModelOrder, user: string): void {
    if (order.parties["customer"] === user) return void model.delete(orderId);
    const others = Object.entries(order.parties).filter(([, other]) => other !== user);
    if (others.length < Object.keys(order.parties).length) order.entries += 1;
    order.parties = Object.fromEntries(others);
  }

  async function act(orderId: string): Promise<void> {
    const { orders } = pick(nodes);
    const known = model.get(orderId);
    if (known === undefined) {
      const parties = { customer: pick(users) };
      model.set(orderId, { parties, data: null, status: "created", entries: 1 });
      await orders.create({ orderId, parties });
    } else if (random() < 0.04) {
      const user = pick(users);
      const own = [...model].filter(([, { parties }]) => parties["customer"] === user).length;
      const others = [...model].filter(([, order]) => isParty(order, user)).length - own;
      for (const [id, order] of model) leave(id, order, user);
      expect(await orders.eraseUser(user)).toEqual({ orders: own, parties: others });
    } else if (random() < 0.5) {
      const changes = { [pick(roles)]: random() < 0.4 ? null : pick(users) };
      const parties = Object.entries({ ...known.parties, ...changes }).filter(([, user]) => user !== null);
      const updated = Object.fromEntries(parties) as Record<string, string>;
      const data = random() < 0.3 ? { n: Math.floor(random() * 3) } : known.data;
      const isChanged =
        textOf(updated) !== textOf(known.parties) || JSON.stringify(data) !== JSON.stringify(known.data);
      if (isChanged) known.entries += 1;
      Object.assign(known, { parties: updated, data });
      const body = { parties: changes, data, idempotencyKey: `k-${random()}` };
      // A repeat changes nothing, on whichever node it arrives.
      for (const node of random() < 0.3 ? nodes : [nodes[1]])
        expect((await node.orders.update(orderId, body)).order).toMatchObject({ parties: updated, data });
    } else if (random() < 0.25) {
      model.delete(orderId);
      expect(await orders.remove(orderId)).toEqual({ removed: true });
    } else if (next[known.status] !== undefined) {
      known.status = pick(next[known.status] as string[]);
      known.entries += 1;
      await orders.apply(orderId, { status: known.status });
    }
  }

  for (let round = 0; round < 200; round++) {
    await act(`o-${Math.floor(random() * 5)}`);
    const [user, status] = [pick(users), pick(["created", "confirmed", "cancelled"])];

    const open = await orders.openOrdersOf(user);
    const all = await orders.list({});
    expect({ round, ids: await pagesOf({ user, status }) }).toEqual({
      round,
      ids: idsOf((order) => isParty(order, user) && order.status === status),
    });
    expect({ round, ids: open.orders.map(({ orderId }) => orderId).toSorted() }).toEqual({
      round,
      ids: idsOf((order) => isParty(order, user) && order.status !== "cancelled"),
    });
    expect(all.orders).toHaveLength(model.size);
    for (const [orderId, order] of model) {
      expect([round, orderId, await orders.mayRead(orderId, user)]).toEqual([round, orderId, isParty(order, user)]);
    }
  }
  for (const [orderId, order] of model) expect((await orders.get(orderId)).timeline).toHaveLength(order.entries);
  expect(await pagesOf({})).toEqual(idsOf(() => true));
});
