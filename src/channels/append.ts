import type { Keys } from "../redis/keys.ts";
import { runScript } from "../redis/scripts.ts";
import { freshEpoch, type HistoryOptions } from "./kinds.ts";

const generationScripts = [runScript, new URL("./generation.lua", import.meta.url)];
const append = new URL("./append.lua", import.meta.url);

/** The Lua functions that a script includes which does nothing but publish; their promises stand in the files. */
export const publishScripts: readonly URL[] = [...generationScripts, append];

/** Those of every script that reads a channel's position. */
export const positionScripts: readonly URL[] = [...generationScripts, new URL("./position.lua", import.meta.url)];

/** The same and `append`, for every script that publishes and writes more. */
export const appendScripts: readonly URL[] = [...positionScripts, append];

/** Seconds a channel's position outlives its last publication; nodes with subscribers renew it. */
export const metaTtlSeconds = 86_400;

/** What a script hands to `append`: keys in the order meta, log, feed, timestamp; arguments epoch, size, TTLs, head. */
export interface AppendTarget {
  meta: string;
  log: string;
  feed: string;
  /** Absent on Cluster, where no key is in every slot. */
  timestamp: string | undefined;
  epoch: string;
  size: number;
  logTtl: number;
  metaTtl: number;
  head: string;
}

export function appendTarget(keys: Keys, isCluster: boolean, channel: string, history: HistoryOptions): AppendTarget {
  return {
    ...keys.channel(channel),
    timestamp: isCluster ? undefined : keys.globalTimestamp(),
    epoch: freshEpoch(),
    size: history.ttlSeconds === 0 ? 0 : history.size,
    logTtl: Math.max(history.ttlSeconds, 1),
    metaTtl: Math.max(metaTtlSeconds, 2 * history.ttlSeconds),
    head: `{"channel":${JSON.stringify(channel)}`,
  };
}

/** The second argument of `append`: event and data of one publication, `data` being JSON in canonical form. */
export function appendTail(event: string, data: string): string {
  return `"event":${JSON.stringify(event)},"data":${data}`;
}
