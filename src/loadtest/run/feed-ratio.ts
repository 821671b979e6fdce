import { confirmedOf, type Ledger } from "../judge/ledger.ts";
import type { WatchedNode } from "./node-watch.ts";

/** How much the nodes read from Redis, and how much of it their readers want. */
export interface FeedRatio {
  read: number;
  wanted: number;
  ratio: number;
}

export type FeedMarks = ReadonlyMap<string, number>;

/** Where each node's count of messages read from Redis stands. */
export function markFeeds(nodes: readonly WatchedNode[]): FeedMarks {
  return new Map(nodes.map(({ name, samples }) => [name, samples.at(-1)?.feedMessages ?? Number.NaN]));
}

/**
 * A node wants a publication once if it has readers of its channel, however many these are. Undefined where a node does
 * not tell what it reads.
 */
export function feedRatio(
  interest: ReadonlyMap<string, ReadonlySet<string>>,
  ledger: Ledger,
  before: FeedMarks,
  after: FeedMarks,
): FeedRatio | undefined {
  let read = 0;
  let wanted = 0;
  for (const [node, count] of after) read += count - (before.get(node) ?? Number.NaN);
  for (const channels of interest.values())
    for (const channel of channels) {
      const own = ledger.get(channel);
      wanted += own === undefined ? 0 : confirmedOf(own);
    }
  return Number.isNaN(read) || wanted === 0 ? undefined : { read, wanted, ratio: read / wanted };
}
