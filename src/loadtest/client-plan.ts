import { clientKinds, type ClientKind } from "./clients/create-reader.ts";
import type { Plan } from "./plan.ts";
import { seededFor, shuffle } from "./random.ts";

/** One virtual client: its user, its client implementation, where it connects first, and its channels. */
export interface ClientPlan {
  index: number;
  userId: string;
  kind: ClientKind;
  /** Index into the plan's addresses. */
  address: number;
  channels: readonly string[];
}

export const userIdOf = (plan: Pick<Plan, "run">, index: number): string => `lab-${plan.run}-${index}`;

export const ordersChannelOf = (userId: string): string => `orders:${userId}`;

/** The channels that the run publishes into. With orders there is one for each reader. */
export function channelsOf({ scenario, run }: Plan): string[] {
  const { load, readers, channels } = scenario;
  if (load.type === "orders")
    return Array.from({ length: readers.count }, (_, index) => ordersChannelOf(userIdOf({ run }, index)));
  return Array.from({ length: channels.count }, (_, index) => `${channels.prefix}-${run}-${index}`);
}

/** All virtual clients of the run. The same plan yields the same clients in every process. */
export function* clientPlansOf(plan: Plan): Generator<ClientPlan> {
  const { readers, load, channels } = plan.scenario;
  const all = channelsOf(plan);
  const deal = channelPicker(all, seededFor(plan.seed, "channels"));
  const kindOf = interleaveKinds(readers.clients);
  for (let index = 0; index < readers.count; index += 1) {
    yield {
      index,
      userId: userIdOf(plan, index),
      kind: kindOf(),
      address: index % plan.addresses.length,
      channels: load.type === "orders" ? [all[index] as string] : deal(channels.perReader),
    };
  }
}

/** Draws from a shuffled list and shuffles again when it is used up: random, yet every channel gets its readers. */
function channelPicker(all: readonly string[], random: () => number): (count: number) => string[] {
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

/** Yields client kinds in the given proportions, spread evenly. */
function interleaveKinds(shares: Partial<Record<ClientKind, number>>): () => ClientKind {
  const total = clientKinds.reduce((sum, kind) => sum + (shares[kind] ?? 0), 0);
  const expected = new Map(clientKinds.map((kind) => [kind, 0]));
  return () => {
    for (const kind of clientKinds) expected.set(kind, (expected.get(kind) ?? 0) + (shares[kind] ?? 0) / total);
    const most = clientKinds.reduce((best, kind) =>
      (expected.get(kind) ?? 0) > (expected.get(best) ?? 0) ? kind : best,
    );
    expected.set(most, (expected.get(most) ?? 0) - 1);
    return most;
  };
}
