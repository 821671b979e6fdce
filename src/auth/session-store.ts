import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript, loadScript, type ScriptReply } from "../redis/scripts.ts";
import type { ChannelGrants } from "./identity.ts";
import { tagOfSession, userTagOf } from "./session-id.ts";

/**
 * Sessions in Redis: a hash each, and an index per user.
 *
 * Atomicity: a session and its user's index change together in one script; their keys share the user's tag. Time is
 * Redis' own. A session exists exactly as long as its key, so no clocks are compared. It ends `lifeMs` after its creation,
 * or earlier if it was not seen for `idleMs`; Redis deletes it then, and the next listing removes its id from the index.
 * The index expires with its last session. Two users share an index only if 96 bits of their digests are equal.
 */
export interface SessionStore {
  create(session: NewSession, limits: SessionLimits): Promise<CreatedSession>;
  /** The fields a handshake needs; the calls of one tick are one command. */
  peek(sessionId: string): Promise<SessionPeek | undefined>;
  get(sessionId: string): Promise<Session | undefined>;
  /** Oldest first. */
  list(userId: string): Promise<Session[]>;
  /** Records that the session was seen, at most once per `pauseMs`; harmless if it has ended. */
  touch(sessionId: string, touch: SessionTouch): Promise<void>;
  /** Returns the session's user, undefined if it did not exist. */
  end(sessionId: string): Promise<string | undefined>;
  /** Returns the ids of the sessions that existed. */
  endAll(userId: string, except?: string): Promise<string[]>;
}

export interface Session {
  sessionId: string;
  userId: string;
  /** Epoch milliseconds, as all times here. */
  createdAt: number;
  lastSeenAt: number;
  expiresAt: number;
  userAgent?: string;
  /** Private data of the backend; never sent to clients. */
  data?: Record<string, unknown>;
  roles: readonly string[];
  channels: ChannelGrants;
}

export interface NewSession {
  sessionId: string;
  userId: string;
  lifeMs: number;
  data: Record<string, unknown> | undefined;
  roles: readonly string[];
  channels: ChannelGrants;
}

export interface SessionLimits {
  idleMs: number;
  maxPerUser: number;
}

export interface CreatedSession {
  createdAt: number;
  expiresAt: number;
  /** Ids of the user's oldest sessions, evicted because there were too many. */
  evicted: string[];
}

export interface SessionPeek {
  userId: string;
  expiresAt: number;
  /** Undefined if it was not seen since its creation. */
  lastSeenAt: number | undefined;
  roles: readonly string[];
  channels: ChannelGrants;
}

export interface SessionTouch {
  pauseMs: number;
  idleMs: number;
  userAgent: string | undefined;
}

export function createSessionStore({ commands, keys }: { commands: RedisClient; keys: Keys }): SessionStore {
  const createScript = loadScript(commands, new URL("./create-session.lua", import.meta.url));
  const glimpseScript = loadBatchedScript(commands, new URL("./peek-session.lua", import.meta.url));
  const touchScript = loadBatchedScript(commands, new URL("./touch-session.lua", import.meta.url));
  const listScript = loadScript(commands, new URL("./list-sessions.lua", import.meta.url));
  const endScript = loadScript(commands, new URL("./end-sessions.lua", import.meta.url));

  const keyOf = (sessionId: string): string => keys.session(tagOfSession(sessionId), sessionId);
  const keyPrefix = (userTag: string): string => keys.session(userTag, "");

  return {
    async create(session, { idleMs, maxPerUser }) {
      const tag = tagOfSession(session.sessionId);
      const limits = [session.lifeMs, idleMs, maxPerUser, keyPrefix(tag)];
      const reply = await createScript.run(
        [keyOf(session.sessionId), keys.userSessions(tag)],
        [session.sessionId, ...limits, ...fieldsOf(session)],
      );
      const [createdAt, expiresAt, ...letGo] = reply as [number, number, ...string[]];
      return { createdAt, expiresAt, evicted: letGo };
    },

    async peek(sessionId) {
      const reply = await glimpseScript.run([keyOf(sessionId)], []);
      const [userId, expiresAt, lastSeenAt, grants] = reply as (string | null)[];
      if (userId == null) return undefined;
      return {
        userId,
        expiresAt: Number(expiresAt),
        lastSeenAt: lastSeenAt == null ? undefined : Number(lastSeenAt),
        ...toGrants(grants),
      };
    },

    async get(sessionId) {
      const fields = await commands.hgetall(keyOf(sessionId));
      return fields.userId === undefined ? undefined : toSession(sessionId, fields);
    },

    async list(userId) {
      const tag = userTagOf(userId);
      const reply = (await listScript.run([keys.userSessions(tag)], [keyPrefix(tag)])) as string[][];
      return reply.map(([sessionId = "", ...fields]) => toSession(sessionId, toFields(fields)));
    },

    async touch(sessionId, { pauseMs, idleMs, userAgent = "" }) {
      await touchScript.run([keyOf(sessionId)], [pauseMs, idleMs, userAgent]);
    },

    async end(sessionId) {
      const tag = tagOfSession(sessionId);
      const [, userId] = await endThese(tag, sessionId, "");
      return userId;
    },

    async endAll(userId, except = "") {
      const idsAndUsers = await endThese(userTagOf(userId), "", except);
      return idsAndUsers.filter((_, index) => index % 2 === 0);
    },
  };

  async function endThese(tag: string, only: string, kept: string): Promise<string[]> {
    return (await endScript.run([keys.userSessions(tag)], [keyPrefix(tag), only, kept])) as ScriptReply[] as string[];
  }
}

/** Fields and values without empty ones, so that a plain session is a small hash. */
function fieldsOf({ userId, data, roles, channels }: NewSession): string[] {
  const fields = ["userId", userId];
  if (data !== undefined) fields.push("data", JSON.stringify(data));
  if (roles.length + channels.subscribe.length + channels.publish.length > 0) {
    fields.push("grants", JSON.stringify({ roles, channels }));
  }
  return fields;
}

type Grants = Pick<Session, "roles" | "channels">;

const noGrants: Grants = { roles: [], channels: { subscribe: [], publish: [] } };

const toGrants = (json: string | null | undefined): Grants => (json == null ? noGrants : (JSON.parse(json) as Grants));

function toSession(sessionId: string, fields: Record<string, string>): Session {
  const { userId = "", createdAt, lastSeenAt = createdAt, expiresAt, userAgent, data, grants } = fields;
  return {
    sessionId,
    userId,
    createdAt: Number(createdAt),
    lastSeenAt: Number(lastSeenAt),
    expiresAt: Number(expiresAt),
    ...(userAgent !== undefined && { userAgent }),
    ...(data !== undefined && { data: JSON.parse(data) as Record<string, unknown> }),
    ...toGrants(grants),
  };
}

function toFields(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i] as string] = flat[i + 1] as string;
  return fields;
}
