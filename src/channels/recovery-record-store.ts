import type { Position } from "../protocol/scalars.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { DeliveryTrail } from "./delivery-trail.ts";
import { loadBatchedScript, loadScript, runScript } from "../redis/scripts.ts";

/** Whose connection it is; on a return all of it must be the same again. */
export interface RecordOwner {
  /** Socket.IO's id, which the client keeps. */
  socketId: string;
  userId: string;
  sessionId: string;
  /** No publication with a timestamp below was given to the connection. */
  timestamp: number;
}

/** What a returning connection needs. */
export interface RecoveryRecord {
  holder: RecordOwner;
  /** Each channel, with the position at which its subscription began. */
  starts: Map<string, Position>;
}

export interface TakenRecord {
  /** The owner before, '' if that had released it. */
  before: string;
  /** The owner that released it, '' if none did. */
  left: string;
  /** How often the record has been taken, this time included: a later owner's number is larger. */
  takes: number;
  /** What the owner before was sent last, where it has released the record with it. */
  trail: DeliveryTrail | undefined;
  /** As it was taken. Undefined if Redis may have lost some of it: then it was not, and only its owner can write it anew. */
  record: RecoveryRecord | undefined;
}

/**
 * Records of connections by the private id that only their client knows (Socket.IO's `pid`). A record is kept as the
 * subscriptions change and outlives the connection, and its node, by the recovery window. It has one owner: a
 * connection that was taken over elsewhere cannot change it any more.
 */
export interface RecoveryRecordStore {
  begin(privateId: string, owner: string, record: RecoveryRecord): Promise<void>;
  /** False if this owner has no such record: it was taken over, or not begun yet. */
  keep(privateId: string, owner: string, channel: string, start: Position): Promise<boolean>;
  /** False as `keep`. */
  drop(privateId: string, owner: string, channel: string): Promise<boolean>;
  find(privateId: string): Promise<RecoveryRecord | undefined>;
  /** Writes the whole record anew, for the store may have lost some of it. `takes` is what `take` answered, at first 0. */
  rewrite(privateId: string, owner: string, takes: number, record: RecoveryRecord): Promise<void>;
  /** Undefined if there is no record. */
  take(privateId: string, owner: string): Promise<TakenRecord | undefined>;
  /** The connection has gone and may come back. False if the record is another's or gone; `trail` is kept also if it was taken just before. */
  release(privateId: string, owner: string, trail?: DeliveryTrail): Promise<boolean>;
  /** What `release` wrote after the record was taken from its owner. */
  findTrail(privateId: string): Promise<DeliveryTrail | undefined>;
  /** The connection has gone for good. */
  end(privateId: string, owner: string): Promise<void>;
  renew(privateIds: readonly string[]): Promise<void>;
}

const channelField = "c:";

export interface RecoveryRecordOptions {
  /** Seconds a record outlives its connection. */
  windowSeconds: number;
  /** Seconds between two calls of `renew`. */
  renewEverySeconds: number;
}

export function createRecoveryRecordStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  { windowSeconds, renewEverySeconds }: RecoveryRecordOptions,
): RecoveryRecordStore {
  // One script for all of these, so that gathering keeps their order: a change finds what was begun just before.
  const changeScript = loadBatchedScript(commands, new URL("./change-recovery-record.lua", import.meta.url), [
    runScript,
  ]);
  const takeScript = loadScript(commands, new URL("./take-recovery-record.lua", import.meta.url), [runScript], {
    isOrdered: false,
  });
  const livingTtl = windowSeconds + renewEverySeconds;

  async function change(
    privateId: string,
    owner: string,
    act: string,
    ttl: number,
    fields: string[],
  ): Promise<boolean> {
    return (await changeScript.run([keys.recoveryRecord(privateId)], [owner, act, ttl, ...fields])) === 1;
  }

  return {
    async begin(privateId, owner, record) {
      await change(privateId, owner, "begin", livingTtl, toFields(record));
    },
    async rewrite(privateId, owner, takes, record) {
      await change(privateId, owner, "rewrite", livingTtl, [`${takes}`, ...toFields(record)]);
    },
    keep: (privateId, owner, channel, start) =>
      change(privateId, owner, "keep", livingTtl, [channelField + channel, toText(start)]),
    drop: (privateId, owner, channel) => change(privateId, owner, "drop", livingTtl, [channelField + channel]),
    async find(privateId) {
      return toRecord(await commands.hgetall(keys.recoveryRecord(privateId)));
    },
    async take(privateId, owner) {
      const reply = await takeScript.run([keys.recoveryRecord(privateId)], [owner, livingTtl]);
      if (!Array.isArray(reply)) return undefined;
      const [before, left, takes, fields, trail] = reply as [string, string, number, string[], string];
      return { before, left, takes, trail: toTrail(trail), record: toRecord(fromPairs(fields)) };
    },
    release: (privateId, owner, trail) =>
      change(privateId, owner, "release", windowSeconds, trail === undefined ? [] : [JSON.stringify(trail)]),
    findTrail: async (privateId) => toTrail((await commands.hget(keys.recoveryRecord(privateId), "trail")) ?? ""),
    async end(privateId, owner) {
      await change(privateId, owner, "end", windowSeconds, []);
    },
    async renew(privateIds) {
      await Promise.all(privateIds.map((privateId) => commands.expire(keys.recoveryRecord(privateId), livingTtl)));
    },
  };
}

const toText = ({ epoch, offset }: Position): string => `${offset}:${epoch}`;

function toPosition(text: string): Position {
  const colon = text.indexOf(":");
  return { epoch: text.slice(colon + 1), offset: Number(text.slice(0, colon)) };
}

const toTrail = (text: string): DeliveryTrail | undefined =>
  text === "" ? undefined : (JSON.parse(text) as DeliveryTrail);

function toFields({ holder, starts }: RecoveryRecord): string[] {
  const fields = ["holder", JSON.stringify(holder)];
  for (const [channel, position] of starts) fields.push(channelField + channel, toText(position));
  return fields;
}

function fromPairs(texts: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let index = 0; index < texts.length; index += 2) fields[texts[index] as string] = texts[index + 1] as string;
  return fields;
}

function toRecord(fields: Record<string, string>): RecoveryRecord | undefined {
  if (fields.holder === undefined) return undefined;
  const starts = new Map<string, Position>();
  for (const [field, value] of Object.entries(fields)) {
    if (field.startsWith(channelField)) starts.set(field.slice(channelField.length), toPosition(value));
  }
  return { holder: JSON.parse(fields.holder) as RecordOwner, starts };
}
