import { GatewayError } from "../protocol/errors.ts";
import { isName } from "../protocol/names.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ChannelGrants } from "./identity.ts";
import { createSessionId, isSessionId } from "./session-id.ts";
import type {
  Session,
  SessionAdmission,
  SessionPeek,
  SessionRevisions,
  SessionStore,
  UserBlock,
} from "./session-store.ts";
import { orRefusal } from "../redis/refusals.ts";

export interface SessionOptions {
  /** Life of a session without `ttlSeconds`. @default 86400 */
  sessionTtlSeconds?: number | undefined;
  /** Max `ttlSeconds`. @default 2592000, thirty days */
  maxSessionTtlSeconds?: number | undefined;
  /**
   * A session not seen for this long ends early; it is seen when it authenticates. Longer than any token's life, so that
   * an open connection keeps its session. @default 604800, seven days
   */
  sessionIdleSeconds?: number | undefined;
  /** Max sessions of one user; a new one evicts the oldest. @default 100 */
  maxSessionsPerUser?: number | undefined;
  /** Whether there are sessions of an identity provider, which go by its ids too. @default false */
  adopt?: boolean | undefined;
}

export const sessionDefaults = {
  sessionTtlSeconds: 86_400,
  maxSessionTtlSeconds: 30 * 86_400,
  sessionIdleSeconds: 7 * 86_400,
  maxSessionsPerUser: 100,
};

export interface Login {
  userId: string;
  roles?: readonly string[] | undefined;
  channels?: { subscribe?: readonly string[] | undefined; publish?: readonly string[] | undefined } | undefined;
  data?: Record<string, unknown> | undefined;
  /** Public part, which other clients may see. */
  info?: Record<string, unknown> | undefined;
  /** @default the configured life; with `idleSeconds` the longest life */
  ttlSeconds?: number | undefined;
  /** Sliding life: the session ends after so many seconds without a handshake or message. */
  idleSeconds?: number | undefined;
}

/** A change of a session; omitted fields stay as they are. */
export type SessionUpdate = Omit<Partial<Login>, "userId" | "idleSeconds">;

export interface RenewedSession extends Pick<Session, "roles" | "channels" | "info"> {
  /** Epoch milliseconds. */
  expiresAt: number;
  /** Sessions of the user that ended because there were too many; the caller must close their connections. */
  evicted: string[];
}

/** Sessions in Redis. Every method throws `unavailable` if Redis does not answer. */
export interface Sessions {
  /** `evicted` are sessions of the user that ended because there were too many; the caller must close their connections. */
  create(login: Login): Promise<{ session: Session; evicted: string[] }>;
  /**
   * Creates a session with this id for the token of an identity provider, unless it exists already; undefined if it does, or
   * was ended. `providerSessionId`: an id that backends may use for it too.
   */
  adopt(sessionId: string, login: Login, providerSessionId?: string): Promise<{ evicted: string[] } | undefined>;
  /** The session that `adopt` would begin, without beginning it; undefined if it was ended. */
  adoptable(login: Login & { sessionId: string }): Promise<SessionPeek | undefined>;
  /** Creates a session with this id, or replaces what the login says of the one that exists. `expiresAt` is the login's end. */
  renew(sessionId: string, login: Login): Promise<RenewedSession>;
  /** What a handshake needs; `session` is undefined if it has ended or never existed. */
  admission(sessionId: string): Promise<SessionAdmission>;
  /** Like `admission`, only the session. */
  peek(sessionId: string): Promise<SessionPeek | undefined>;
  /** The id of the session: of an adopted one also from the id that its provider gave it. Undefined if there was none. */
  idOf(sessionId: string): Promise<string | undefined>;
  /** Undefined if the session has ended. */
  update(sessionId: string, change: SessionUpdate): Promise<Session | undefined>;
  /** Extends the session by `ttlSeconds`, or by the life it was created with. Undefined if it has ended. */
  refresh(sessionId: string, ttlSeconds?: number): Promise<Session | undefined>;
  /**
   * Grants a channel to all sessions of the user, or takes the grant back. Undefined, and nothing was granted, if one of them
   * has too many.
   */
  grantChannel(userId: string, channel: string, isGranted: boolean): Promise<SessionRevisions | undefined>;
  /** Refuses all handshakes of the user until `until`. */
  block(userId: string, block: UserBlock): Promise<void>;
  /** False if the user was not blocked. */
  unblock(userId: string): Promise<boolean>;
  blockOf(userId: string): Promise<UserBlock | undefined>;
  revokeTokensBefore(userId: string, issuedBefore: number, forMs: number): Promise<void>;
  get(sessionId: string): Promise<Session | undefined>;
  /** Oldest first. */
  list(userId: string): Promise<Session[]>;
  /** Records that the session was seen; writes at most once a minute. */
  touch(
    sessionId: string,
    seen: { lastSeenAt: number | undefined; userAgent?: string | undefined; slidingMs?: number | undefined },
  ): Promise<void>;
  /** Returns the session's user, undefined if it did not exist. */
  end(sessionId: string): Promise<string | undefined>;
  /** Returns the ids of the sessions that existed. */
  endAll(userId: string, except?: string): Promise<string[]>;
}

const touchPauseMs = 60_000;
const maxUserAgentLength = 256;

const done = Promise.resolve();

export function createSessions(
  { store, clock }: { store: SessionStore; clock: Clock },
  options: SessionOptions = {},
): Sessions {
  const {
    sessionTtlSeconds = sessionDefaults.sessionTtlSeconds,
    maxSessionTtlSeconds = sessionDefaults.maxSessionTtlSeconds,
    sessionIdleSeconds = sessionDefaults.sessionIdleSeconds,
    maxSessionsPerUser = sessionDefaults.maxSessionsPerUser,
  } = options;
  const limits = { idleMs: sessionIdleSeconds * 1_000, maxPerUser: maxSessionsPerUser };

  function lifeMs(ttlSeconds = Math.min(sessionTtlSeconds, maxSessionTtlSeconds)): number {
    if (ttlSeconds <= maxSessionTtlSeconds) return ttlSeconds * 1_000;
    throw new GatewayError("bad_request", `ttlSeconds must be at most ${maxSessionTtlSeconds}`, {
      field: "ttlSeconds",
    });
  }

  /** With a sliding life `ttlSeconds` is an upper bound, which defaults to the max. */
  function livesOf({ ttlSeconds, idleSeconds }: Login): { lifeMs: number; idleMs: number | undefined } {
    if (idleSeconds === undefined) return { lifeMs: lifeMs(ttlSeconds), idleMs: undefined };
    return { lifeMs: lifeMs(ttlSeconds ?? maxSessionTtlSeconds), idleMs: idleSeconds * 1_000 };
  }

  async function change(sessionId: string, given: Omit<SessionUpdate, "ttlSeconds">, ttlMs?: number | "life") {
    const id = await idOf(sessionId);
    if (id === undefined) return undefined;
    const channels = given.channels && toChannelGrants(given.channels);
    return orRefusal(store.update(id, { ...given, channels, ttlMs, idleMs: limits.idleMs }));
  }

  async function idOf(sessionId: string): Promise<string | undefined> {
    if (isSessionId(sessionId)) return sessionId;
    return options.adopt === true && isName(sessionId) ? orRefusal(store.findByProviderId(sessionId)) : undefined;
  }

  const missing: SessionAdmission = { session: undefined, isBlocked: false, tokensFrom: 0 };

  const admission = (sessionId: string): Promise<SessionAdmission> =>
    isSessionId(sessionId) ? orRefusal(store.admission(sessionId)) : Promise.resolve(missing);

  return {
    async create(login) {
      const { userId, roles = [], data, info, idleSeconds } = login;
      const rights = { userId, roles, channels: toChannelGrants(login.channels) };
      const session = { sessionId: createSessionId(userId), ...rights };
      const stored = store.create({ ...session, data, info, ...livesOf(login) }, limits);
      const { createdAt, expiresAt, evicted } = await orRefusal(stored);
      const times = { createdAt, lastSeenAt: createdAt, expiresAt };
      const given = {
        ...(data !== undefined && { data }),
        ...(info !== undefined && { info }),
        ...(idleSeconds !== undefined && { idleSeconds }),
      };
      return { session: { ...session, ...times, ...given }, evicted };
    },

    async adopt(sessionId, login, providerSessionId) {
      if (providerSessionId !== undefined)
        await orRefusal(store.setProviderId(providerSessionId, sessionId, maxSessionTtlSeconds * 1_000));
      const { userId, roles = [], data, info } = login;
      const session = { sessionId, userId, roles, channels: toChannelGrants(login.channels), data, info };
      return orRefusal(store.adopt({ ...session, ...livesOf(login) }, limits));
    },

    async adoptable({ sessionId, userId, roles = [], channels, info }) {
      if (await orRefusal(store.wasEnded(sessionId))) return undefined;
      const times = { expiresAt: clock.now() + lifeMs(), lastSeenAt: undefined };
      return { userId, roles, channels: toChannelGrants(channels), ...(info !== undefined && { info }), ...times };
    },

    async renew(sessionId, { userId, roles = [], info, ttlSeconds = sessionTtlSeconds, ...login }) {
      const rights = { roles, channels: toChannelGrants(login.channels), ...(info !== undefined && { info }) };
      // Nothing of the client is seen until it connects again, so the session must not end early.
      const life = Math.min(ttlSeconds, maxSessionTtlSeconds, sessionIdleSeconds);
      const session = { sessionId, userId, ...rights, data: undefined, lifeMs: life * 1_000 };
      const { expiresAt, evicted } = await orRefusal(store.renew(session, limits));
      return { expiresAt, evicted, ...rights };
    },

    admission,
    peek: async (sessionId) => (await admission(sessionId)).session,
    update: async (sessionId, { ttlSeconds, ...given }) =>
      change(sessionId, given, ttlSeconds === undefined ? undefined : lifeMs(ttlSeconds)),
    refresh: async (sessionId, ttlSeconds) =>
      change(sessionId, {}, ttlSeconds === undefined ? "life" : lifeMs(ttlSeconds)),
    grantChannel: (userId, channel, isGranted) => orRefusal(store.grantChannel(userId, channel, isGranted)),
    block: (userId, block) => orRefusal(store.block(userId, block)),
    unblock: (userId) => orRefusal(store.unblock(userId)),
    blockOf: (userId) => orRefusal(store.blockOf(userId)),
    revokeTokensBefore: (userId, issuedBefore, forMs) =>
      orRefusal(store.revokeTokensBefore(userId, issuedBefore, forMs)),

    idOf,

    async get(sessionId) {
      const id = await idOf(sessionId);
      return id === undefined ? undefined : orRefusal(store.get(id));
    },

    list: (userId) => orRefusal(store.list(userId)),

    touch(sessionId, { lastSeenAt, userAgent, slidingMs = Infinity }) {
      const pauseMs = Math.min(touchPauseMs, slidingMs / 4);
      if (lastSeenAt !== undefined && clock.now() - lastSeenAt < pauseMs) return done;
      const touch = { pauseMs: touchPauseMs, idleMs: limits.idleMs, userAgent: presentable(userAgent) };
      return orRefusal(store.touch(sessionId, touch));
    },

    async end(sessionId) {
      return isSessionId(sessionId) ? orRefusal(store.end(sessionId)) : undefined;
    },

    endAll: (userId, except) => orRefusal(store.endAll(userId, except)),
  };
}

const toChannelGrants = ({ subscribe = [], publish = [] }: NonNullable<Login["channels"]> = {}): ChannelGrants => ({
  subscribe,
  publish,
});

/** An untrusted header, reduced to one printable line. */
function presentable(userAgent: string | undefined): string | undefined {
  // oxlint-disable-next-line no-control-regex
  return userAgent?.replaceAll(/[^\u0020-\u007e]/g, "").slice(0, maxUserAgentLength);
}
