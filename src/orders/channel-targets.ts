import { appendTarget, type AppendDeps, type AppendTarget } from "../channels/append.ts";
import type { HistoryOptions } from "../channels/kinds.ts";

/** Resolves a channel to the keys and history options that a publishing script needs. */
export interface ChannelTargets {
  target(channel: string): AppendTarget;
}

export const createChannelTargets = (
  deps: AppendDeps,
  historyOf: (channel: string) => HistoryOptions,
): ChannelTargets => ({ target: (channel) => appendTarget(deps, channel, historyOf(channel)) });

/** Keys of a target, at the end of a script's KEYS. */
export const targetKeys = ({ meta, log, feed, timestamp }: AppendTarget): string[] =>
  timestamp === undefined ? [meta, log, feed] : [meta, log, feed, timestamp];

/** Arguments of a target, in the order that every script in this folder expects. */
export const targetArgs = ({ epoch, size, logTtl, metaTtl, head }: AppendTarget): (string | number)[] => [
  epoch,
  size,
  logTtl,
  metaTtl,
  head,
];

/** TTL in seconds of a position that only a snapshot has created. */
export const idleChannelTtlSeconds = 3_600;
