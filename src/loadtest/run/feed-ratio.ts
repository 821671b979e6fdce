import { confirmedOf, type PublishLog } from "../verification/publish-log.ts";
import type { MonitoredNode } from "./node-monitor.ts";

/** Number of publications that the nodes read from Redis, and that their readers need. */
export interface FeedRatio {
  read: number;
  needed: number;
  ratio: number;
}

export type FeedCounts = ReadonlyMap<string, number>;

/** Current count of messages read from Redis, for each node that reports it. */
export function feedCountsOf(nodes: readonly MonitoredNode[]): FeedCounts {
  const marks = new Map<string, number>();
  for (const { name, samples } of nodes) {
    const count = samples.at(-1)?.feedMessages;
    if (count !== undefined) marks.set(name, count);
  }
  return marks;
}

/**
 * A node needs a publication once if it has readers of its channel, however many. Undefined if nothing was needed, or
 * if a node with readers does not report its count.
 */
export function feedRatio(
  interest: ReadonlyMap<string, ReadonlySet<string>>,
  publishLog: PublishLog,
  before: FeedCounts,
  after: FeedCounts,
): FeedRatio | undefined {
  if ([...interest.keys()].some((node) => !before.has(node))) return undefined;
  const read = sum([...after].map(([node, count]) => count - (before.get(node) ?? 0)));
  const needed = sum([...interest.values()].map((channels) => neededBy(channels, publishLog)));
  return needed === 0 ? undefined : { read, needed, ratio: read / needed };
}

function neededBy(channels: ReadonlySet<string>, publishLog: PublishLog): number {
  const logs = [...channels].flatMap((channel) => publishLog.get(channel) ?? []);
  return sum(logs.map(confirmedOf));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
