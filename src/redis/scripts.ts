import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { Cluster } from "ioredis";
import { createBatcher } from "../runtime/batcher.ts";
import { KeyedQueue } from "../runtime/keyed-queue.ts";
import type { RedisClient } from "./connections.ts";
import { refusedRun, runsOf, type KnownRun, type Runs } from "./runs.ts";

/** A script's reply. */
export type ScriptReply = string | number | null | ScriptReply[];

export interface Script {
  /** One round trip (EVALSHA); the text is sent if Redis does not have it. Never inside MULTI. */
  run(keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<ScriptReply>;
}

export interface ScriptOptions {
  /** False if the order of calls does not matter: a call that Redis refuses temporarily delays no other. @default true */
  isOrdered?: boolean;
}

/** Include it first in scripts that may only execute in the run of Redis their caller knows; see the file. */
export const runScript = new URL("./run.lua", import.meta.url);

/**
 * Loads a Lua file as a function. Scripts are files with a header (purpose, KEYS, ARGV, returns) and never built from
 * strings; untrusted input travels in KEYS and ARGV alone. `includes` are files of local functions placed before it, such
 * as `channels/append.lua`.
 *
 * Order: calls take effect in the order in which they were made, even if Redis must be sent the text first.
 *
 * ioredis' own scripts (`defineCommand`) are not used: a pipeline created before a script was defined does not know it and
 * crashes the process, and in a Cluster automatic pipelines take the number of keys for the first key.
 */
export function loadScript(
  redis: RedisClient,
  file: URL,
  includes: readonly URL[] = [],
  { isOrdered = true }: ScriptOptions = {},
): Script {
  return new OrderedScript(redis, [...includes, file].map(textOf).join("\n"), {
    needsRun: includes.includes(runScript),
    isOrdered,
  });
}

/** Max calls per batch: Redis does nothing else meanwhile. */
const maxBatchSize = 64;

/**
 * The same for small scripts called in bursts, such as in a storm of handshakes: the calls of one tick execute as one
 * script, and share its cost. Each has its own reply or error. All such scripts of a connection share their batches, except
 * those with includes: such a batch may be refused and repeated, and only calls of the same script know of that.
 *
 * Order: that of the calls among themselves; other commands of the same tick may come before them. On a Cluster each call
 * is sent by itself, because their keys are in different slots.
 */
export function loadBatchedScript(redis: RedisClient, file: URL, includes: readonly URL[] = []): Script {
  if (redis instanceof Cluster) return loadScript(redis, file, includes);
  if (includes.length > 0) return new ScriptBatch(redis, includes).add(file);
  const batch = batches.get(redis) ?? new ScriptBatch(redis, includes);
  batches.set(redis, batch);
  return batch.add(file);
}

const batches = new WeakMap<RedisClient, ScriptBatch>();

const runBatchLua = new URL("./run-batch.lua", import.meta.url);

const textOf = (file: URL): string => readFileSync(file, "utf8");

/** Scripts whose calls execute together. */
class ScriptBatch {
  readonly #redis: RedisClient;
  readonly #includes: readonly URL[];
  readonly #functions: string[] = [];
  readonly #load = createBatcher<BatchedCall, ScriptReply>((calls) => this.#run(calls), maxBatchSize);
  /** Of all scripts so far. */
  #script: Script | undefined;

  constructor(redis: RedisClient, includes: readonly URL[]) {
    this.#redis = redis;
    this.#includes = includes;
  }

  add(file: URL): Script {
    const number = this.#functions.push(`function(KEYS, ARGV)\n${textOf(file)}\nend`);
    this.#script = undefined;
    return { run: (keys, args) => this.#load({ number, keys, args }) };
  }

  async #run(calls: readonly BatchedCall[]): Promise<readonly (ScriptReply | Error)[]> {
    this.#script ??= this.#combine();
    const counts: string[] = [];
    const keys: string[] = [];
    const args: (string | number | Buffer)[] = [""];
    for (const call of calls) {
      counts.push(`${call.number} ${call.keys.length} ${call.args.length}`);
      keys.push(...call.keys);
      args.push(...call.args);
    }
    args[0] = counts.join(" ");
    return (await this.#script.run(keys, args)) as (ScriptReply | Error)[];
  }

  #combine(): Script {
    const head = this.#includes.map(textOf).join("\n");
    const text = `${head}\nlocal scripts = {\n${this.#functions.join(",\n")}\n}\n${textOf(runBatchLua)}`;
    return new OrderedScript(this.#redis, text, { needsRun: this.#includes.includes(runScript) });
  }
}

interface ScriptCall {
  keys: readonly string[];
  args: readonly (string | number | Buffer)[];
}

interface BatchedCall extends ScriptCall {
  /** Of the script in its batch. */
  number: number;
}

interface Call extends ScriptCall {
  resolve: (reply: ScriptReply) => void;
  reject: (error: unknown) => void;
  repeats: number;
  isTextMissing: boolean;
}

/** Max repeats of a call before it rejects. */
const maxRepeats = 20;

class OrderedScript implements Script {
  readonly #redis: RedisClient;
  readonly #text: string;
  readonly #sha: string;
  /** Undefined if the script does not depend on the run. */
  readonly #runs: Runs | undefined;
  readonly #isOrdered: boolean;
  readonly #known = new Map<number, KnownRun>();
  /** Calls with the same key, one after the other. */
  readonly #unsettled = new KeyedQueue();
  #losses = 0;
  #inFlight = 0;
  /** Calls that Redis refused without any effect, in the order in which they were made. */
  #refused: Call[] = [];
  /** Later calls, which must not overtake the refused ones, or another one with their key. */
  #held: Call[] = [];
  #waiting: Promise<void>[] = [];

  constructor(redis: RedisClient, text: string, { needsRun = false, isOrdered = true }) {
    this.#isOrdered = isOrdered;
    this.#redis = redis;
    // Unique per connection: if another node could load the text, a later call in flight would succeed before refused ones.
    // Not on a Cluster, whose client does not keep EVAL and EVALSHA in order: there refusals must be as rare as possible.
    this.#text = isOrdered && !(redis instanceof Cluster) ? `-- ${redis.options.connectionName ?? ""}\n${text}` : text;
    this.#sha = createHash("sha1").update(this.#text).digest("hex");
    this.#runs = needsRun ? runsOf(redis) : undefined;
  }

  run(keys: Call["keys"], args: Call["args"]): Promise<ScriptReply> {
    const [key = ""] = keys;
    if (this.#unsettled.isIdle && !this.#mayRefuseOne(key)) return this.#call(keys, args);
    return this.#unsettled.run(key, (release) => {
      if (!this.#mayRefuseOne(key)) release();
      return this.#call(keys, args);
    });
  }

  #call(keys: Call["keys"], args: Call["args"]): Promise<ScriptReply> {
    return new Promise((resolve, reject) => {
      const call = { keys, args, resolve, reject, repeats: 0, isTextMissing: false };
      if (this.#refused.length + this.#held.length > 0) this.#held.push(call);
      else this.#send(call);
    });
  }

  /**
   * Until the run is settled, a call may be refused while the next one with the same key, already in flight, succeeds:
   * another node, for which the run is settled, may write the key between them. While the run is unknown, all calls in
   * flight are refused.
   */
  #mayRefuseOne(key: string): boolean {
    if (this.#runs === undefined || !this.#isOrdered) return false;
    const { run, isSettled } = this.#knownAt(this.#runs, this.#runs.placeOf(key));
    return run !== "" && !isSettled;
  }

  #send(call: Call): void {
    const { keys, args } = call;
    const run = this.#runs === undefined ? [] : this.#runArgs(this.#runs, keys);
    this.#inFlight += 1;
    // One list: a batch has hundreds of arguments, and spreading them into a call would copy them twice more.
    const all = (keys as readonly (string | Buffer)[]).concat(args.map(toArgument), run);
    const reply = call.isTextMissing
      ? this.#redis.eval(this.#text, keys.length, all)
      : this.#redis.evalsha(this.#sha, keys.length, all);
    call.isTextMissing = false;
    reply.then(
      (reply) => {
        call.resolve(reply as ScriptReply);
        this.#answered();
      },
      (error: unknown) => {
        const refused = call.repeats < maxRepeats ? this.#refusal(call, error) : undefined;
        if (refused === undefined) call.reject(error);
        else if (this.#isOrdered) this.#refused.push(call);
        else void refused.then(() => this.#send(call));
        if (refused !== undefined && this.#isOrdered) this.#waiting.push(refused);
        call.repeats += 1;
        this.#answered();
      },
    );
  }

  #runArgs(runs: Runs, keys: Call["keys"]): readonly string[] {
    const place = runs.placeOf(keys[0]);
    return runs.arguments(place, this.#knownAt(runs, place));
  }

  /** Per script: using a run that another script has observed since could overtake a call in flight that will be refused. */
  #knownAt(runs: Runs, place: number): KnownRun {
    if (this.#losses !== runs.connectionLosses) this.#known.clear();
    this.#losses = runs.connectionLosses;
    let known = this.#known.get(place);
    if (known === undefined) this.#known.set(place, (known = { run: runs.runAt(place), isSettled: false }));
    known.isSettled ||= runs.isSettled(known.run);
    return known;
  }

  /** If the call had no effect: notes what was missing, and resolves when it may be repeated. */
  #refusal(call: Call, error: unknown): Promise<void> | undefined {
    if (isUnknownScript(error)) {
      call.isTextMissing = true;
      return Promise.resolve();
    }
    const refusal = this.#runs && refusedRun(error);
    if (this.#runs === undefined || refusal === undefined) return undefined;
    const place = this.#runs.placeOf(call.keys[0]);
    const settled = this.#runs.observe(place, refusal.run);
    this.#known.set(place, { run: refusal.run, isSettled: false });
    return refusal.mustSettle ? settled : Promise.resolve();
  }

  /** Once all calls in flight have a reply, none of them can succeed before the refused ones. */
  #answered(): void {
    this.#inFlight -= 1;
    if (this.#inFlight > 0 || this.#refused.length + this.#held.length === 0) return;
    void Promise.all(this.#waiting).then(() => this.#repeat());
    this.#waiting = [];
  }

  /** Those of one key that may be refused go one after the other; and all with the text, or one without it could be overtaken. */
  #repeat(): void {
    const calls = [...this.#refused, ...this.#held];
    const isTextMissing = calls.some((call) => call.isTextMissing);
    const sent = new Set<string>();
    this.#refused = [];
    this.#held = [];
    for (const call of calls) {
      const [key = ""] = call.keys;
      call.isTextMissing = isTextMissing;
      if (sent.has(key) && this.#mayRefuseOne(key)) this.#held.push(call);
      else this.#send(call);
      sent.add(key);
    }
  }
}

const toArgument = (argument: string | number | Buffer): string | Buffer =>
  typeof argument === "number" ? `${argument}` : argument;

const isUnknownScript = (error: unknown): boolean => error instanceof Error && error.message.startsWith("NOSCRIPT");
