import { GatewayError } from "../protocol/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { createSessionId, isSessionId } from "./session-id.ts";
import type { Session, SessionPeek, SessionStore } from "./session-store.ts";
import { orUnavailable } from "./unavailable.ts";

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
}

export interface Login {
  userId: string;
  roles?: readonly string[] | undefined;
  channels?: { subscribe?: readonly string[] | undefined; publish?: readonly string[] | undefined } | undefined;
  data?: Record<string, unknown> | undefined;
  /** @default the configured life */
  ttlSeconds?: number | undefined;
}

/** Sessions in Redis. Every method throws `unavailable` if Redis does not answer. */
export interface Sessions {
  /** `evicted` are sessions of the user that ended because there were too many; the caller must close their connections. */
  create(login: Login): Promise<{ session: Session; evicted: string[] }>;
  /** The fields a handshake needs; undefined if the session has ended or never existed. */
  peek(sessionId: string): Promise<SessionPeek | undefined>;
  get(sessionId: string): Promise<Session | undefined>;
  /** Oldest first. */
  list(userId: string): Promise<Session[]>;
  /** Records that the session was seen; writes at most once a minute. */
  touch(sessionId: string, seen: { lastSeenAt: number | undefined; userAgent?: string | undefined }): Promise<void>;
  /** Returns the session's user, undefined if it did not exist. */
  end(sessionId: string): Promise<string | undefined>;
  /** Returns the ids of the sessions that existed. */
  endAll(userId: string, except?: string): Promise<string[]>;
}

const touchPauseMs = 60_000;
const maxUserAgentLength = 256;

export function createSessions(
  { store, clock }: { store: SessionStore; clock: Clock },
  {
    sessionTtlSeconds = 86_400,
    maxSessionTtlSeconds = 30 * 86_400,
    sessionIdleSeconds = 7 * 86_400,
    maxSessionsPerUser = 100,
  }: SessionOptions = {},
): Sessions {
  const limits = { idleMs: sessionIdleSeconds * 1_000, maxPerUser: maxSessionsPerUser };

  function lifeMs(ttlSeconds = Math.min(sessionTtlSeconds, maxSessionTtlSeconds)): number {
    if (ttlSeconds <= maxSessionTtlSeconds) return ttlSeconds * 1_000;
    throw new GatewayError("bad_request", `ttlSeconds must be at most ${maxSessionTtlSeconds}`, {
      field: "ttlSeconds",
    });
  }

  return {
    async create({ userId, roles = [], channels: { subscribe = [], publish = [] } = {}, data, ttlSeconds }) {
      const login = { sessionId: createSessionId(userId), userId, roles, channels: { subscribe, publish } };
      const stored = store.create({ ...login, data, lifeMs: lifeMs(ttlSeconds) }, limits);
      const { createdAt, expiresAt, evicted: evicted } = await orUnavailable(stored);
      const times = { createdAt, lastSeenAt: createdAt, expiresAt };
      return { session: { ...login, ...times, ...(data !== undefined && { data }) }, evicted };
    },

    async peek(sessionId) {
      return isSessionId(sessionId) ? orUnavailable(store.peek(sessionId)) : undefined;
    },

    async get(sessionId) {
      return isSessionId(sessionId) ? orUnavailable(store.get(sessionId)) : undefined;
    },

    list: (userId) => orUnavailable(store.list(userId)),

    async touch(sessionId, { lastSeenAt, userAgent }) {
      if (lastSeenAt !== undefined && clock.now() - lastSeenAt < touchPauseMs) return;
      const touch = { pauseMs: touchPauseMs, idleMs: limits.idleMs, userAgent: presentable(userAgent) };
      await orUnavailable(store.touch(sessionId, touch));
    },

    async end(sessionId) {
      return isSessionId(sessionId) ? orUnavailable(store.end(sessionId)) : undefined;
    },

    endAll: (userId, except) => orUnavailable(store.endAll(userId, except)),
  };
}

/** An untrusted header, reduced to one printable line. */
function presentable(userAgent: string | undefined): string | undefined {
  // oxlint-disable-next-line no-control-regex
  return userAgent?.replaceAll(/[^\u0020-\u007e]/g, "").slice(0, maxUserAgentLength);
}
