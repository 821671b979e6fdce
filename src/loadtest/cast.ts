import { clientKinds, type ClientKind } from "./clients/create-reader.ts";
import type { Plan } from "./plan.ts";
import { seededFor, shuffle } from "./random.ts";

/** One virtual client: who it is, which program, where it first connects, and what it reads. */
export interface Role {
  index: number;
  userId: string;
  kind: ClientKind;
  /** Of the plan's addresses. */
  address: number;
  channels: readonly string[];
}

export const userOf = (plan: Pick<Plan, "run">, index: number): string => `lab-${plan.run}-${index}`;

export const ordersChannelOf = (userId: string): string => `orders:${userId}`;

/** The channels that are published into, by number. Orders have one for each reader. */
export function channelsOf({ scenario, run }: Plan): string[] {
  const { load, readers, channels } = scenario;
  if (load.type === "orders")
    return Array.from({ length: readers.count }, (_, index) => ordersChannelOf(userOf({ run }, index)));
  return Array.from({ length: channels.count }, (_, index) => `${channels.prefix}-${run}-${index}`);
}

/** Everybody of the run. The same plan gives the same roles in every process. */
export function* rolesOf(plan: Plan): Generator<Role> {
  const { readers, load, channels } = plan.scenario;
  const all = channelsOf(plan);
  const deal = dealer(all, seededFor(plan.seed, "channels"));
  const kindOf = takeTurns(readers.clients);
  for (let index = 0; index < readers.count; index += 1) {
    yield {
      index,
      userId: userOf(plan, index),
      kind: kindOf(),
      address: index % plan.addresses.length,
      channels: load.type === "orders" ? [all[index] as string] : deal(channels.perReader),
    };
  }
}

/** Cards of a shuffled deck, and of another when it is used up: at random, and yet every channel gets its readers. */
function dealer(all: readonly string[], random: () => number): (count: number) => string[] {
  let deck: string[] = [];
  return (count) => {
    const hand = new Set<string>();
    while (hand.size < count) {
      if (deck.length === 0) deck = shuffle([...all], random);
      hand.add(deck.pop() as string);
    }
    return [...hand];
  };
}

/** Kinds in the given proportions, spread evenly. */
function takeTurns(shares: Partial<Record<ClientKind, number>>): () => ClientKind {
  const total = clientKinds.reduce((sum, kind) => sum + (shares[kind] ?? 0), 0);
  const owed = new Map(clientKinds.map((kind) => [kind, 0]));
  return () => {
    for (const kind of clientKinds) owed.set(kind, (owed.get(kind) ?? 0) + (shares[kind] ?? 0) / total);
    const most = clientKinds.reduce((best, kind) => ((owed.get(kind) ?? 0) > (owed.get(best) ?? 0) ? kind : best));
    owed.set(most, (owed.get(most) ?? 0) - 1);
    return most;
  };
}
