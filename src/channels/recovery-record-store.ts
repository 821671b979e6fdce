import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import type { DeliveryTrail } from "./delivery-trail.ts";
import type { StoredStart, SubscribedBy } from "./stored-start.ts";
import { loadBatchedScript, loadScript, runScript, type ScriptReply } from "../redis/scripts.ts";

/** Identifies the connection; all of it must match for a recovery. */
export interface RecordOwner {
  /** Socket.IO's id, which the client keeps. */
  socketId: string;
  userId: string;
  sessionId: string;
  /** The connection was sent no publication with an earlier timestamp. */
  timestamp: number;
}

/** What is stored to recover a connection. */
export interface RecoveryRecord {
  holder: RecordOwner;
  /** Each channel, with where its subscription started. */
  starts: Map<string, StoredStart>;
  /**
   * Id of the last control command after which its node has written which subscriptions there are; empty in records of
   * earlier versions. What a later command has ended may still be among them.
   */
  asOf: string;
  /** What the app has given to the socket (`connections/socket-state.ts`). Omitted if nothing. */
  socketState?: string | undefined;
}

export interface FoundRecord extends RecoveryRecord {
  /** How often the record was taken. */
  takes: number;
}

export interface TakenRecord {
  /** The previous owner; '' if it had released the record. */
  before: string;
  /** The owner that released it; '' if none did. */
  left: string;
  /** How often the record was taken, including this time if it was; grows with each owner. */
  takes: number;
  /** The last deliveries of the previous owner, if it released the record with them. */
  trail: DeliveryTrail | undefined;
  /** An owner from whom it was taken, and who may still write its trail and the last state of its socket; '' if none. */
  leaving: string;
  /**
   * As it was taken. Undefined if it was not: because somebody else has taken it meanwhile, or because Redis may have lost
   * part of it, and then only its owner can rewrite it.
   */
  record: RecoveryRecord | undefined;
}

/** What an owner leaves to the next one. */
export interface LeftBehind {
  /** Omit if it is not needed. */
  trail?: DeliveryTrail | undefined;
  /** '' if the socket has none; omit to leave what is recorded. */
  socketState?: string;
}

/**
 * Records of connections under the private id that only their client knows (Socket.IO's `pid`). A record follows the
 * subscriptions and outlives the connection, and its node, by the recovery window. Only its owner can change it;
 * taking it over changes the owner.
 */
export interface RecoveryRecordStore {
  begin(privateId: string, owner: string, record: RecoveryRecord): Promise<unknown>;
  /** Returns false if this owner has no such record: it was taken over, or not created yet. */
  keep(privateId: string, owner: string, channel: string, start: StoredStart): Promise<boolean>;
  /** Returns false like `keep`. */
  drop(privateId: string, owner: string, channel: string): Promise<boolean>;
  /** '' if the socket has no state. Returns false like `keep`. */
  setState(privateId: string, owner: string, state: string): Promise<boolean>;
  find(privateId: string): Promise<FoundRecord | undefined>;
  /**
   * Rewrites the whole record, because Redis may have lost part of it. `takes` is the result of `take`, initially 0.
   */
  rewrite(privateId: string, owner: string, takes: number, record: RecoveryRecord): Promise<void>;
  /** `takes`: how often it had been taken when it was found. Undefined if there is no record. */
  take(privateId: string, owner: string, takes: number): Promise<TakenRecord | undefined>;
  /**
   * The connection is gone and may come back. Returns false if the record belongs to another owner or is gone; what it
   * leaves is stored even if it was taken just before. `asOf` as in the record.
   */
  release(privateId: string, owner: string, asOf: string, left?: LeftBehind): Promise<boolean>;
  /** The trail that `release` wrote after another owner took the record. */
  findTrail(privateId: string): Promise<DeliveryTrail | undefined>;
  /** The state that this owner wrote when it left, '' for none; undefined as long as it has not. */
  findLastState(privateId: string, leaving: string): Promise<string | undefined>;
  /** The connection is gone for good. */
  end(privateId: string, owner: string): Promise<void>;
  /** Deletes the record, whoever owns it. */
  erase(privateId: string): Promise<void>;
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
  // One script for all changes, so that batching keeps their order.
  const changeScript = loadBatchedScript(commands, new URL("./change-recovery-record.lua", import.meta.url), [
    runScript,
  ]);
  const takeScript = loadScript(commands, new URL("./take-recovery-record.lua", import.meta.url), [runScript], {
    isOrdered: false,
  });
  const livingTtl = windowSeconds + renewEverySeconds;

  const change = (
    privateId: string,
    owner: string,
    act: string,
    ttl: number,
    fields: readonly string[],
  ): Promise<boolean> => changeScript.run([keys.recoveryRecord(privateId)], [owner, act, ttl, ...fields]).then(isDone);

  return {
    begin: (privateId, owner, record) => change(privateId, owner, "begin", livingTtl, toFields(record)),
    async rewrite(privateId, owner, takes, record) {
      await change(privateId, owner, "rewrite", livingTtl, [`${takes}`, ...toFields(record)]);
    },
    keep: (privateId, owner, channel, start) =>
      change(privateId, owner, "keep", livingTtl, [channelField + channel, toText(start)]),
    drop: (privateId, owner, channel) => change(privateId, owner, "drop", livingTtl, [channelField + channel]),
    setState: (privateId, owner, state) => change(privateId, owner, "state", livingTtl, [state]),
    async find(privateId) {
      const fields = await commands.hgetall(keys.recoveryRecord(privateId));
      const record = toRecord(fields);
      return record && { ...record, takes: Number(fields.takes ?? 0) };
    },
    async take(privateId, owner, known) {
      const reply = await takeScript.run([keys.recoveryRecord(privateId)], [owner, livingTtl, known]);
      if (!Array.isArray(reply)) return undefined;
      const [before, left, takes, pairs, trail] = reply as [string, string, number, string[], string];
      const fields = fromPairs(pairs);
      return { before, left, takes, trail: toTrail(trail), leaving: fields.before ?? "", record: toRecord(fields) };
    },
    release: (privateId, owner, asOf, { trail, socketState } = {}) =>
      change(privateId, owner, "release", windowSeconds, [
        asOf,
        trail === undefined ? "" : JSON.stringify(trail),
        ...(socketState === undefined ? [] : [socketState]),
      ]),
    findTrail: async (privateId) => toTrail((await commands.hget(keys.recoveryRecord(privateId), "trail")) ?? ""),
    async findLastState(privateId, leaving) {
      const [before, state] = await commands.hmget(keys.recoveryRecord(privateId), "before", "socketState");
      return before === leaving ? undefined : (state ?? "");
    },
    async end(privateId, owner) {
      await change(privateId, owner, "end", windowSeconds, []);
    },
    async erase(privateId) {
      await commands.unlink(keys.recoveryRecord(privateId));
    },
    async renew(privateIds) {
      await Promise.all(privateIds.map((privateId) => commands.expire(keys.recoveryRecord(privateId), livingTtl)));
    },
  };
}

const isDone = (reply: ScriptReply): boolean => reply === 1;

/** The epoch has no colon. */
function toText({ epoch, offset, by, token }: StoredStart): string {
  const start = `${offset}:${epoch}${by === undefined ? "" : `:${by}`}`;
  if (token === undefined) return start;
  return `${start}${by === undefined ? ":" : ""}:${token.expiresAt}:${token.mayPublish ? "publish" : "subscribe"}`;
}

function toStart(text: string): StoredStart {
  const [offset, epoch = "", by = "", expiresAt, right] = text.split(":");
  const token = expiresAt === undefined ? undefined : { expiresAt: Number(expiresAt), mayPublish: right === "publish" };
  return { epoch, offset: Number(offset), ...(by !== "" && { by: by as SubscribedBy }), ...(token && { token }) };
}

const toTrail = (text: string): DeliveryTrail | undefined =>
  text === "" ? undefined : (JSON.parse(text) as DeliveryTrail);

function toFields({ holder, starts, asOf, socketState = "" }: RecoveryRecord): string[] {
  const fields = ["holder", JSON.stringify(holder), "asOf", asOf];
  if (socketState !== "") fields.push("socketState", socketState);
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
  const starts = new Map<string, StoredStart>();
  for (const [field, value] of Object.entries(fields)) {
    if (field.startsWith(channelField)) starts.set(field.slice(channelField.length), toStart(value));
  }
  const { asOf = "", socketState } = fields;
  return { holder: JSON.parse(fields.holder) as RecordOwner, starts, asOf, socketState };
}
