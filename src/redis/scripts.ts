import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { Cluster } from "ioredis";
import { gather } from "../runtime/gather.ts";
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
  return new OrderedScript(redis, [...includes, file].map(textOf).join("\n"));
}

/** Calls that one script takes at most: Redis does nothing else meanwhile. */
const mostTogether = 64;

/**
 * The same for small scripts that many ask for in one moment, as a storm of handshakes does: calls of one turn of the
 * event loop run as one, so that they share what a command costs here and there. Each has its own reply or error.
 *
 * Order: that of the calls, among themselves; a command that is sent in the same turn may come before them. On a Cluster
 * each goes by itself, for their keys lie in different slots.
 */
export function loadGatheredScript(redis: RedisClient, file: URL): Script {
  if (redis instanceof Cluster) return loadScript(redis, file);
  const text = `local function call(KEYS, ARGV)\n${textOf(file)}\nend\n${textOf(eachCall)}`;
  const script = new OrderedScript(redis, text);
  const ask = gather<Wish, ScriptReply>((calls) => runTogether(script, calls), mostTogether);
  return { run: (keys, args) => ask({ keys, args }) };
}

const eachCall = new URL("./each-call.lua", import.meta.url);

const textOf = (file: URL): string => readFileSync(file, "utf8");

async function runTogether(script: Script, calls: readonly Wish[]): Promise<(ScriptReply | Error)[]> {
  const counts = calls.map(({ keys, args }) => `${keys.length} ${args.length}`).join(" ");
  const replies = await script.run(
    calls.flatMap(({ keys }) => keys),
    [counts, ...calls.flatMap(({ args }) => args)],
  );
  return replies as (ScriptReply | Error)[];
}

interface Wish {
  keys: readonly string[];
  args: readonly (string | number | Buffer)[];
}

interface Call extends Wish {
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
