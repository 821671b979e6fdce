import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadBatchedScript, loadScript, type ScriptReply } from "../redis/scripts.ts";
import type { ChannelGrants } from "./identity.ts";
import { digestOf, tagOfSession, userTagOf } from "./session-id.ts";

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
  /**
   * Creates a session for the token of an identity provider, unless it exists; undefined if it does or was ended within the
   * last `endedMs`.
   */
  adopt(session: NewSession, limits: SessionLimits): Promise<CreatedSession | undefined>;
  /** Whether it was ended within the last `endedMs`. */
  wasEnded(sessionId: string): Promise<boolean>;
  /** Notes for `ttlMs` which session a provider's session id stands for. */
  setProviderId(providerSessionId: string, sessionId: string, ttlMs: number): Promise<void>;
  findByProviderId(providerSessionId: string): Promise<string | undefined>;
  /** Creates a session, or replaces the rights of the one with this id and extends it. `expiresAt` is the end of this login. */
  renew(session: NewSession, limits: SessionLimits): Promise<CreatedSession>;
  /** What a handshake needs of a session and its user; the calls of one tick are one command. */
  admission(sessionId: string): Promise<SessionAdmission>;
  /** Changes a session and its end; undefined if it has ended. */
  update(sessionId: string, change: SessionChange): Promise<Session | undefined>;
  /**
   * Grants a channel to all sessions of a user, or takes the grant back. Returns the revision of each session; undefined, and
   * nothing was granted, if one would have too many.
   */
  grantChannel(userId: string, channel: string, isGranted: boolean): Promise<SessionRevisions | undefined>;
  block(userId: string, block: UserBlock): Promise<void>;
  /** False if the user was not blocked. */
  unblock(userId: string): Promise<boolean>;
  blockOf(userId: string): Promise<UserBlock | undefined>;
  /** Makes the user's tokens issued before `issuedBefore` (epoch ms) invalid, for at least `forMs`. */
  revokeTokensBefore(userId: string, issuedBefore: number, forMs: number): Promise<void>;
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
  /** Public part, which other clients may see. */
  info?: Record<string, unknown>;
  /** Sliding life: it ends after so many seconds without a handshake or message. */
  idleSeconds?: number;
  /** Channels the backend granted by subscribing the user to them. */
  granted?: readonly string[];
  /** Increases with each change. */
  revision?: number;
  roles: readonly string[];
  channels: ChannelGrants;
}

export interface NewSession {
  sessionId: string;
  userId: string;
  lifeMs: number;
  idleMs?: number | undefined;
  data: Record<string, unknown> | undefined;
  info?: Record<string, unknown> | undefined;
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
  info?: Record<string, unknown>;
  granted?: readonly string[];
  revision?: number;
  /** When roles or channels were changed last; older tokens no longer determine them. */
  rightsAt?: number;
  /** Sliding life in milliseconds. */
  slidingMs?: number;
}

export interface UserBlock {
  /** Epoch milliseconds; omit for a block without an end. */
  until?: number | undefined;
  reason?: string | undefined;
}

export interface SessionAdmission {
  session: SessionPeek | undefined;
  isBlocked: boolean;
  /** Tokens of the user issued before this (epoch ms) are invalid. */
  tokensFrom: number;
}

/** Omitted fields stay as they are. */
export interface SessionChange {
  roles?: readonly string[] | undefined;
  channels?: ChannelGrants | undefined;
  /** An empty object removes it. */
  data?: Record<string, unknown> | undefined;
  info?: Record<string, unknown> | undefined;
  /** Milliseconds from now at which it ends; `life` for as many as it was created with. */
  ttlMs?: number | "life" | undefined;
  /** Idle time after which it ends early. */
  idleMs: number;
}

/** By session: which of its changes this was. */
export type SessionRevisions = Readonly<Record<string, number>>;

export interface SessionTouch {
  pauseMs: number;
  idleMs: number;
  userAgent: string | undefined;
}

/** Max channels that a backend may grant to one session by subscribing its user. */
export const maxGrantedChannels = 256;

export function createSessionStore(
  { commands, keys }: { commands: RedisClient; keys: Keys },
  /** `endedMs`: how long an ended session cannot be adopted again; 0 if sessions are never adopted. */
  { endedMs = 0 }: { endedMs?: number } = {},
): SessionStore {
  const createScript = loadScript(commands, new URL("./create-session.lua", import.meta.url));
  const peekScript = loadBatchedScript(commands, new URL("./peek-session.lua", import.meta.url));
  const touchScript = loadBatchedScript(commands, new URL("./touch-session.lua", import.meta.url));
  const updateScript = loadScript(commands, new URL("./update-session.lua", import.meta.url));
  const grantScript = loadScript(commands, new URL("./grant-channel.lua", import.meta.url));
  const listScript = loadScript(commands, new URL("./list-sessions.lua", import.meta.url));
  const endScript = loadScript(commands, new URL("./end-sessions.lua", import.meta.url));

  const keyOf = (sessionId: string): string => keys.session(tagOfSession(sessionId), sessionId);
  const blockKeyOf = (userId: string): string => keys.userBlock(userTagOf(userId));
  const keyPrefix = (userTag: string): string => keys.session(userTag, "");

  async function create(
    mode: "new" | "adopted" | "renewed",
    session: NewSession,
    { idleMs, maxPerUser }: SessionLimits,
  ) {
    const tag = tagOfSession(session.sessionId);
    const limits = [session.lifeMs, idleMs, maxPerUser, keyPrefix(tag), session.idleMs ?? "", mode];
    const reply = await createScript.run(
      [keyOf(session.sessionId), keys.userSessions(tag)],
      [session.sessionId, ...limits, ...fieldsOf(session)],
    );
    const [createdAt, expiresAt, ...evicted] = reply as [number?, number?, ...string[]];
    return createdAt === undefined || expiresAt === undefined ? undefined : { createdAt, expiresAt, evicted };
  }

  return {
    create: async (session, limits) => (await create("new", session, limits)) as CreatedSession,
    adopt: (session, limits) => create("adopted", session, limits),
    wasEnded: async (sessionId) => (await commands.exists(`${keyOf(sessionId)}:ended`)) === 1,
    async setProviderId(providerSessionId, sessionId, ttlMs) {
      await commands.set(keys.providerSession(digestOf(providerSessionId)), sessionId, "PX", ttlMs);
    },
    async findByProviderId(providerSessionId) {
      return (await commands.get(keys.providerSession(digestOf(providerSessionId)))) ?? undefined;
    },
    renew: async (session, limits) => (await create("renewed", session, limits)) as CreatedSession,

    admission(sessionId) {
      const tag = tagOfSession(sessionId);
      const peekKeys = [keyOf(sessionId), keys.userBlock(tag), keys.userTokensFrom(tag)];
      return peekScript.run(peekKeys, []).then(toAdmission);
    },

    async update(sessionId, { ttlMs = "", idleMs, ...change }) {
      const areRights = change.roles !== undefined || change.channels !== undefined;
      const reply = await updateScript.run(
        [keyOf(sessionId), keys.userSessions(tagOfSession(sessionId))],
        [ttlMs, idleMs, areRights ? 1 : 0, ...changedFieldsOf(change)],
      );
      const fields = reply as string[];
      return fields.length === 0 ? undefined : toSession(sessionId, toFields(fields));
    },

    async grantChannel(userId, channel, isGranted) {
      const tag = userTagOf(userId);
      const args = [keyPrefix(tag), channel, isGranted ? 1 : 0, maxGrantedChannels];
      const reply = (await grantScript.run([keys.userSessions(tag)], args)) as (string | number)[] | null;
      return reply === null ? undefined : toRevisions(reply);
    },

    async block(userId, block) {
      const key = blockKeyOf(userId);
      if (block.until === undefined) await commands.set(key, JSON.stringify(block));
      else await commands.set(key, JSON.stringify(block), "PXAT", block.until);
    },

    unblock: async (userId) => (await commands.del(blockKeyOf(userId))) === 1,

    async blockOf(userId) {
      const text = await commands.get(blockKeyOf(userId));
      return text === null ? undefined : (JSON.parse(text) as UserBlock);
    },

    async revokeTokensBefore(userId, issuedBefore, forMs) {
      await commands.set(keys.userTokensFrom(userTagOf(userId)), `${issuedBefore}`, "PX", forMs);
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
    const args = [keyPrefix(tag), only, kept, endedMs];
    return (await endScript.run([keys.userSessions(tag)], args)) as ScriptReply[] as string[];
  }
}

/** Fields and values without empty ones, so that a plain session is a small hash. */
function fieldsOf({ userId, data, info, roles, channels }: NewSession): string[] {
  const fields = ["userId", userId];
  if (data !== undefined) fields.push("data", JSON.stringify(data));
  if (info !== undefined) fields.push("info", JSON.stringify(info));
  if (roles.length > 0) fields.push("roles", JSON.stringify(roles));
  if (channels.subscribe.length + channels.publish.length > 0) fields.push("channels", JSON.stringify(channels));
  return fields;
}

/** Fields and values of a change; an empty value removes the field. */
function changedFieldsOf(change: Omit<SessionChange, "ttlMs" | "idleMs">): string[] {
  return Object.entries(change).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const isEmpty = Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0;
    return [name, isEmpty ? "" : JSON.stringify(value)];
  });
}

const noChannels: ChannelGrants = { subscribe: [], publish: [] };

const toRoles = (json: string | null | undefined): readonly string[] =>
  json == null ? [] : (JSON.parse(json) as string[]);

const toChannels = (json: string | null | undefined): ChannelGrants =>
  json == null ? noChannels : (JSON.parse(json) as ChannelGrants);

/** Names contain no line breaks. */
const toGranted = (joined: string): string[] => (joined === "" ? [] : joined.split("\n"));

const toObject = (json: string): Record<string, unknown> => JSON.parse(json) as Record<string, unknown>;

function toAdmission(reply: ScriptReply): SessionAdmission {
  const fields = reply as (string | null)[];
  return { session: toPeek(fields), isBlocked: fields[0] != null, tokensFrom: Number(fields[1] ?? 0) };
}

/** In the order of `peek-session.lua`. */
function toPeek(fields: readonly (string | null)[]): SessionPeek | undefined {
  const [, , userId, expiresAt, lastSeenAt, roles, channels, info, granted, revision, rightsAt, sliding] = fields;
  if (userId == null) return undefined;
  return {
    userId,
    expiresAt: Number(expiresAt),
    lastSeenAt: lastSeenAt == null ? undefined : Number(lastSeenAt),
    roles: toRoles(roles),
    channels: toChannels(channels),
    ...(info != null && { info: toObject(info) }),
    ...(granted != null && { granted: toGranted(granted) }),
    ...(revision != null && { revision: Number(revision) }),
    ...(rightsAt != null && { rightsAt: Number(rightsAt) }),
    ...(sliding != null && { slidingMs: Number(sliding) }),
  };
}

function toSession(sessionId: string, fields: Record<string, string>): Session {
  const { userId = "", createdAt, lastSeenAt = createdAt, expiresAt, userAgent, data, info, sliding, granted } = fields;
  return {
    sessionId,
    userId,
    createdAt: Number(createdAt),
    lastSeenAt: Number(lastSeenAt),
    expiresAt: Number(expiresAt),
    ...(userAgent !== undefined && { userAgent }),
    ...(data !== undefined && { data: toObject(data) }),
    ...(info !== undefined && { info: toObject(info) }),
    ...(sliding !== undefined && { idleSeconds: Math.round(Number(sliding) / 1_000) }),
    ...(granted !== undefined && { granted: toGranted(granted) }),
    ...(fields.revision !== undefined && { revision: Number(fields.revision) }),
    roles: toRoles(fields.roles),
    channels: toChannels(fields.channels),
  };
}

/** `id, revision, …` */
function toRevisions(flat: readonly (string | number)[]): SessionRevisions {
  const pairs = Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at], flat[2 * at + 1]] as const);
  return Object.fromEntries(pairs) as SessionRevisions;
}

function toFields(flat: readonly string[]): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) fields[flat[i] as string] = flat[i + 1] as string;
  return fields;
}
