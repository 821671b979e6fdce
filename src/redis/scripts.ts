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
 * Order: calls take effect in the order in which they were made, also where Redis has to be sent the text first.
 *
 * Not ioredis' own scripts (`defineCommand`): a pipeline that was begun before a script was defined does not know it and
 * takes the process down, and in a Cluster automatic pipelines take the number of keys for the first key.
 */
export function loadScript(redis: RedisClient, file: URL, includes: readonly URL[] = []): Script {
  return new OrderedScript(redis, [...includes, file].map((part) => readFileSync(part, "utf8")).join("\n"));
}

interface Call {
  keys: readonly string[];
  args: readonly (string | number | Buffer)[];
  resolve: (reply: ScriptReply) => void;
  reject: (error: unknown) => void;
}

class OrderedScript implements Script {
  readonly #redis: RedisClient;
  readonly #text: string;
  readonly #sha: string;
  #inFlight = 0;
  /** Calls whose script Redis did not know, in the order they were made. */
  #unknown: Call[] = [];
  /** Calls that were made since; they must not overtake those. */
  #held: Call[] = [];

  constructor(redis: RedisClient, text: string) {
    this.#redis = redis;
    this.#text = text;
    this.#sha = createHash("sha1").update(text).digest("hex");
  }

  run(keys: Call["keys"], args: Call["args"]): Promise<ScriptReply> {
    return new Promise((resolve, reject) => {
      const call = { keys, args, resolve, reject };
      if (this.#unknown.length > 0) this.#held.push(call);
      else this.#send(call);
    });
  }

  #send(call: Call): void {
    const reply = this.#redis.evalsha(this.#sha, call.keys.length, ...call.keys, ...call.args);
    this.#inFlight += 1;
    reply.then(
      (reply) => {
        call.resolve(reply as ScriptReply);
        this.#answered();
      },
      (error: unknown) => {
        if (isUnknownScript(error)) this.#unknown.push(call);
        else call.reject(error);
        this.#answered();
      },
    );
  }

  /** Once all that is under way has been answered, none of it can succeed before those that did not. */
  #answered(): void {
    this.#inFlight -= 1;
    if (this.#inFlight > 0 || this.#unknown.length === 0) return;
    const [unknown, held] = [this.#unknown, this.#held];
    this.#unknown = [];
    this.#held = [];
    for (const { keys, args, resolve, reject } of unknown) {
      this.#redis
        .eval(this.#text, keys.length, ...keys, ...args)
        .then((reply) => resolve(reply as ScriptReply), reject);
    }
    for (const call of held) this.#send(call);
  }
}

const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");
