import type { Keys } from "../redis/keys.ts";
import type { Spans } from "../runtime/spans.ts";
import { runScript } from "../redis/scripts.ts";
import { freshEpoch, type HistoryOptions } from "./kinds.ts";

const generationScripts = [runScript, new URL("./generation.lua", import.meta.url)];
const append = new URL("./append.lua", import.meta.url);

/** Lua functions for scripts that only publish; each file documents its own. */
export const publishScripts: readonly URL[] = [...generationScripts, append];

/** Lua functions for scripts that read a channel's position. */
export const positionScripts: readonly URL[] = [...generationScripts, new URL("./position.lua", import.meta.url)];

/** Lua functions for scripts that publish and write other keys. */
export const appendScripts: readonly URL[] = [...positionScripts, append];

/** Seconds a channel's position is kept after its last publication; nodes with subscribers renew it. */
export const metaTtlSeconds = 86_400;

/** Keys and arguments that a script passes to `append` (append.lua). */
export interface AppendTarget {
  meta: string;
  log: string;
  feed: string;
  /** Undefined on Cluster, where one key cannot be in every slot. */
  timestamp: string | undefined;
  epoch: string;
  size: number;
  logTtl: number;
  metaTtl: number;
  head: string;
}

export interface AppendDeps {
  keys: Keys;
  isCluster: boolean;
  spans?: Pick<Spans, "sampledTraceparent"> | undefined;
}

/** `traceparent` is of what caused the publication. @default the active span */
export function appendTarget(
  { keys, isCluster, spans }: AppendDeps,
  channel: string,
  history: HistoryOptions,
  traceparent = spans?.sampledTraceparent() ?? "",
): AppendTarget {
  const trace = traceparent === "" ? "" : `${traceparent} `;
  return {
    ...keys.channel(channel),
    timestamp: isCluster ? undefined : keys.globalTimestamp(),
    epoch: freshEpoch(),
    size: history.ttlSeconds === 0 ? 0 : history.size,
    logTtl: Math.max(history.ttlSeconds, 1),
    metaTtl: Math.max(metaTtlSeconds, 2 * history.ttlSeconds),
    head: `${trace}{"channel":${JSON.stringify(channel)}`,
  };
}

/** The second argument of `append`. `data` is JSON in canonical form. */
export function appendTail(event: string, data: string): string {
  return `"event":${JSON.stringify(event)},"data":${data}`;
}
