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
 *
 * Not ioredis' own scripts (`defineCommand`): a pipeline that was begun before a script was defined does not know it and
 * takes the process down, and in a Cluster automatic pipelines take the number of keys for the first key.
 */
export function loadScript(redis: RedisClient, file: URL, includes: readonly URL[] = []): Script {
  const lua = [...includes, file].map((part) => readFileSync(part, "utf8")).join("\n");
  const sha = createHash("sha1").update(lua).digest("hex");
  return {
    async run(keys, args) {
      try {
        return (await redis.evalsha(sha, keys.length, ...keys, ...args)) as ScriptReply;
      } catch (error) {
        if (!isUnknownScript(error)) throw error;
        return (await redis.eval(lua, keys.length, ...keys, ...args)) as ScriptReply;
      }
    },
  };
}

const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");
