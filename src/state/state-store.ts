import { GatewayError } from "../protocol/errors.ts";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript, type ScriptReply } from "../redis/scripts.ts";
import { changeText, entryHead, type StateWrite, type StoredEntry, type StoredState } from "./state-change.ts";

/**
 * The state of channels in Redis: values by key.
 *
 * Order and atomicity: one script checks the bounds, changes the keys, assigns the next revision and publishes the
 * changes, so nodes receive the changes of a channel in the order in which they were made. A timestamp of Redis' clock
 * goes with each revision, and never repeats even if Redis loses its latest changes. Removed keys are remembered, up to
 * a bound, so that a recovering connection learns of them.
 */
export interface StateStore {
  /** Applies all changes or none; resolves to the revision. Throws `payload_too_large` if a bound would be exceeded. */
  set(channel: string, changes: readonly StateWrite[], owner?: string): Promise<number>;
  /**
   * Owns keys again that `ownerBefore` had, setting those that are gone; resolves to the keys that `owner` has now. A key
   * that somebody else has set meanwhile is left alone.
   */
  reclaim(channel: string, changes: readonly StateWrite[], owner: string, ownerBefore: string): Promise<string[]>;
  /** Resolves to the number of keys that were removed, and the milliseconds until the next key expires. */
  remove(channel: string, which: RemovedKeys): Promise<{ removed: number; nextInMs: number | undefined }>;
  /** `since`: a timestamp after which removed keys are listed. */
  read(channel: string, since?: number): Promise<StoredState>;
}

/** Keys that have expired, that a connection or a node owned, that a user set last, or all. */
export type RemovedKeys =
  | { which: "due" | "all" }
  | { which: "owner"; subject: string; keys: readonly string[] }
  | { which: "node" | "user"; subject: string };

export interface StateBounds {
  keysPerChannel: number;
  /** Bytes of all keys and entries of a channel. */
  bytesPerChannel: number;
  /** Seconds the state is kept after its last change or subscription. */
  idleSeconds: number;
}

/** Removed keys that are remembered per channel, for recovery. */
const maxRemoved = 1_000;

export function createStateStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  { keysPerChannel, bytesPerChannel, idleSeconds }: StateBounds,
): StateStore {
  const load = (name: string) =>
    loadBatchedScript(commands, new URL(`./${name}.lua`, import.meta.url), [new URL("./changes.lua", import.meta.url)]);
  const setScript = load("set-state");
  const removeScript = load("remove-state");
  const readScript = load("read-state");

  const keysOf = (channel: string): string[] => {
    const { meta, entries, removed, expiry, owners, feed } = keys.channelState(channel);
    return [meta, entries, removed, expiry, owners, feed];
  };

  async function apply(channel: string, changes: readonly StateWrite[], owner: string, ownerBefore: string) {
    const head = [keysPerChannel, bytesPerChannel, maxRemoved, idleSeconds, owner, ownerBefore];
    const reply = (await setScript.run(keysOf(channel), [...head, ...changes.flatMap(toArgs)])) as [
      number | "keys" | "bytes",
      ...string[],
    ];
    if (reply[0] === "keys") throw tooLarge(`This channel's state may have at most ${keysPerChannel} keys.`);
    if (reply[0] === "bytes") throw tooLarge(`This channel's state may have at most ${bytesPerChannel} bytes.`);
    return { revision: reply[0], owned: reply.slice(1) as string[] };
  }

  return {
    set: async (channel, changes, owner = "") => (await apply(channel, changes, owner, "")).revision,
    reclaim: async (channel, changes, owner, before) => (await apply(channel, changes, owner, before)).owned,

    async remove(channel, removal) {
      const subject = "subject" in removal ? removal.subject : "";
      const named = "keys" in removal ? removal.keys : [];
      const args = [maxRemoved, idleSeconds, removal.which, subject, ...named];
      const [removed, nextInMs] = (await removeScript.run(keysOf(channel), args)) as [number, number?];
      return { removed, nextInMs };
    },

    async read(channel, since) {
      return toState(await readScript.run(keysOf(channel), [idleSeconds, since ?? ""]));
    },
  };
}

/** The field is that of backends; clients are told none. */
const tooLarge = (message: string): GatewayError =>
  new GatewayError("payload_too_large", message, { field: "changes" });

function toArgs(change: StateWrite): (string | number)[] {
  const { key, dueAt } = change;
  return [key, entryHead(change), changeText(change), dueAt ?? ""];
}

function toState(reply: ScriptReply): StoredState {
  const [revision, timestamp, forgotten, nextInMs, entries, removed] = reply as [
    number,
    string,
    string,
    number | "",
    string[],
    string[],
  ];
  return {
    revision,
    timestamp: Number(timestamp),
    forgotten: Number(forgotten),
    nextInMs: nextInMs === "" ? undefined : nextInMs,
    entries: new Map(pairsOf(entries).map(([key, text]) => [key, toEntry(text)])),
    removed: new Map(pairsOf(removed).map(([key, at]) => [key, Number(at)])),
  };
}

function toEntry(text: string): StoredEntry {
  const colon = text.indexOf(":");
  return { timestamp: Number(text.slice(0, colon)), json: text.slice(colon + 1) };
}
