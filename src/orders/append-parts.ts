import { appendTarget, type AppendTarget } from "../channels/append.ts";
import type { HistoryOptions } from "../channels/kinds.ts";
import type { Keys } from "../redis/keys.ts";

/** Where scripts of this room publish to, and how much history those channels keep. */
export interface ChannelTargets {
  target(channel: string): AppendTarget;
}

export function createChannelTargets(
  keys: Keys,
  isCluster: boolean,
  historyOf: (channel: string) => HistoryOptions,
): ChannelTargets {
  return { target: (channel) => appendTarget(keys, isCluster, channel, historyOf(channel)) };
}

/** The keys of a target, last in a script's KEYS. */
export const targetKeys = ({ meta, log, feed, stamp }: AppendTarget): string[] =>
  stamp === undefined ? [meta, log, feed] : [meta, log, feed, stamp];

/** The arguments of a target, in the order every script of this room takes them. */
export const targetArgs = ({ epoch, size, logTtl, metaTtl, head }: AppendTarget): (string | number)[] => [
  epoch,
  size,
  logTtl,
  metaTtl,
  head,
];

/** Seconds the position of a channel is kept that only a snapshot asked for. */
export const idleChannelTtlSeconds = 3_600;
