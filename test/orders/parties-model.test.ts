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
  status: string;
  entries: number;
}

test("parties, lists, searches and timelines agree with a model in 150 random operations", async () => {
  const { orders } = await startOrdersNode({ prefix: freshPrefix() });
  const random = seeded(11);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const model = new Map<string, ModelOrder>();
  const idsOf = (matches: (order: ModelOrder) => boolean) =>
    [...model].flatMap(([orderId, order]) => (matches(order) ? [orderId] : [])).toSorted();
  const isParty = ({ parties }: ModelOrder, user: string) => Object.values(parties).includes(user);

  async function act(orderId: string): Promise<void> {
    const known = model.get(orderId);
    if (known === undefined) {
      const parties = { customer: pick(users) };
      model.set(orderId, { parties, status: "created", entries: 1 });
      await orders.create({ orderId, parties });
    } else if (random() < 0.5) {
      const changes = { [pick(roles)]: random() < 0.4 ? null : pick(users) };
      const parties = Object.entries({ ...known.parties, ...changes }).filter(([, user]) => user !== null);
      const updated = Object.fromEntries(parties) as Record<string, string>;
      if (textOf(updated) !== textOf(known.parties)) known.entries += 1;
      known.parties = updated;
      expect((await orders.update(orderId, { parties: changes })).order.parties).toEqual(updated);
    } else if (random() < 0.25) {
      model.delete(orderId);
      expect(await orders.remove(orderId)).toEqual({ removed: true });
    } else if (next[known.status] !== undefined) {
      known.status = pick(next[known.status] as string[]);
      known.entries += 1;
      await orders.apply(orderId, { status: known.status });
    }
  }

  for (let round = 0; round < 150; round++) {
    await act(`o-${Math.floor(random() * 5)}`);
    const [user, status] = [pick(users), pick(["created", "confirmed", "cancelled"])];

    const listed = await orders.list({ user, status });
    const open = await orders.openOrdersOf(user);
    const all = await orders.list({});
    expect({ round, ids: listed.orders.map(({ orderId }) => orderId).toSorted() }).toEqual({
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
});
