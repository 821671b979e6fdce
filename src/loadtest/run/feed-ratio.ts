import { confirmedOf, type Ledger } from "../judge/ledger.ts";
import type { WatchedNode } from "./node-watch.ts";

/** How much the nodes read from Redis, and how much of it their readers want. */
export interface FeedRatio {
  read: number;
  wanted: number;
  ratio: number;
}

export type FeedMarks = ReadonlyMap<string, number>;

/** Where the count of messages read from Redis stands at each node that tells it. */
export function markFeeds(nodes: readonly WatchedNode[]): FeedMarks {
  const marks = new Map<string, number>();
  for (const { name, samples } of nodes) {
    const count = samples.at(-1)?.feedMessages;
    if (count !== undefined) marks.set(name, count);
  }
  return marks;
}

/**
 * A node wants a publication once if it has readers of its channel, however many these are. Undefined where nothing was
 * wanted, or a node with readers does not tell what it reads.
 */
export function feedRatio(
  interest: ReadonlyMap<string, ReadonlySet<string>>,
  ledger: Ledger,
  before: FeedMarks,
  after: FeedMarks,
): FeedRatio | undefined {
  if ([...interest.keys()].some((node) => !before.has(node))) return undefined;
  const read = sum([...after].map(([node, count]) => count - (before.get(node) ?? 0)));
  const wanted = sum([...interest.values()].map((channels) => wantedOf(channels, ledger)));
  return wanted === 0 ? undefined : { read, wanted, ratio: read / wanted };
}

function wantedOf(channels: ReadonlySet<string>, ledger: Ledger): number {
  const ledgers = [...channels].flatMap((channel) => ledger.get(channel) ?? []);
  return sum(ledgers.map(confirmedOf));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
