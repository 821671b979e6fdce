import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import type { RedisClient } from "./connections.ts";

/** What Redis hands back from a script. */
export type ScriptReply = string | number | null | ScriptReply[];

export interface Script {
  /** One round trip (EVALSHA); the text is sent once where Redis does not have it. Never inside MULTI. */
  run(keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<ScriptReply>;
}

/**
 * A Lua file as a function. Scripts are files with a header (purpose, KEYS, ARGV, returns); nothing is ever built from
 * strings, so what a stranger sends travels in KEYS and ARGV alone. `includes` are files of local functions that stand
 * before it, such as `channels/append.lua`.
 */
export function loadScript(redis: RedisClient, file: URL, includes: readonly URL[] = []): Script {
  const lua = [...includes, file].map((part) => readFileSync(part, "utf8")).join("\n");
  const name = `tidegate_${createHash("sha1").update(lua).digest("hex")}`;
  const commands = redis as unknown as Record<string, ScriptCommand | undefined>;
  if (commands[name] === undefined) redis.defineCommand(name, { lua });
  return {
    run: (keys, args) => (commands[name] as ScriptCommand).call(redis, keys.length, ...keys, ...args),
  };
}

type ScriptCommand = (keyCount: number, ...rest: (string | number | Buffer)[]) => Promise<ScriptReply>;
