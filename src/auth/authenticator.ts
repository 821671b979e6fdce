import { GatewayError, type ErrorCode, type RefusalRule } from "../protocol/errors.ts";
import type { TokenClaims } from "./claims.ts";
import type { Identity } from "./identity.ts";
import type { SessionPeek } from "./session-store.ts";
import { appSessionIdOf } from "./session-id.ts";
import type { Login, Sessions } from "./sessions.ts";
import type { TokenBlacklist } from "./token-blacklist.ts";
import type { Tokens } from "./tokens.ts";

/**
 * Authenticates clients: first the token, which needs no round trip, then blacklist and session in one. Throws
 * `unauthorized`, `token_expired`, `token_revoked`, `session_expired`, `user_blocked`, or `unavailable` if Redis or the keys cannot be
 * reached: then no client is admitted.
 */
export interface Authenticator {
  /**
   * `token` is untrusted input. `onVerified` is called once the token is verified and before Redis is asked, so that the
   * caller can send its own commands about the session in the same write.
   */
  authenticate(
    token: unknown,
    client?: { userAgent?: string | undefined },
    onVerified?: (sessionId: string, userId: string) => void,
  ): Promise<Identity>;
  /** The same for a session whose client has proved by other means that it may use it (`ticket-store.ts`). */
  authenticateSession(
    session: Pick<TokenClaims, "userId" | "sessionId" | "issuedAt">,
    client?: { userAgent?: string | undefined },
    onVerified?: (sessionId: string, userId: string) => void,
  ): Promise<Identity>;
  /** The same for a client that an app has authenticated at `askedAt`. All its connections share one session. */
  authenticateLogin(
    login: Login & { askedAt: number },
    client?: { userAgent?: string | undefined },
    onVerified?: (sessionId: string, userId: string) => void,
  ): Promise<Identity>;
  /** Replaces the token of an open connection; `forbidden` if it belongs to another user or session. */
  refresh(identity: Identity, token: unknown): Promise<Identity>;
  /** The same checks as `authenticate`, without beginning a session or recording that it was seen. */
  check(token: unknown): Promise<Identity>;
}

export interface AuthenticatorDeps {
  tokens: Pick<Tokens, "verify">;
  sessions: Pick<Sessions, "admission" | "touch" | "adopt" | "adoptable" | "renew">;
  blacklist: Pick<TokenBlacklist, "isRevoked">;
  /** Called with the sessions that an adopted one evicted, whose connections must be closed. */
  onEvicted?: ((userId: string, sessionIds: readonly string[]) => void) | undefined;
}

const ignore = (): void => undefined;

export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { tokens, sessions, blacklist, onEvicted } = deps;

  /** `begin`: for the session of an identity provider's token that was not seen before. */
  async function checkSession(claims: TokenClaims, begin = adopt): Promise<SessionPeek> {
    const { userId, sessionId, tokenId, issuedAt } = claims;
    // Started in one tick, so that both are sent in one write.
    const [isRevoked, admission] = await Promise.all([blacklist.isRevoked(tokenId), sessions.admission(sessionId)]);
    const refuse = (code: ErrorCode, rule: RefusalRule, detail?: string): GatewayError =>
      new GatewayError(code, undefined, { reason: { rule, detail, userId, sessionId } });
    if (admission.isBlocked) throw refuse("user_blocked", "blocked");
    if (isRevoked) throw refuse("token_revoked", "revoked");
    if (issuedAt < admission.tokensFrom) throw refuse("token_revoked", "revoked", "all older tokens of the user");
    const session = admission.session ?? (claims.isAdopted === true ? await begin(claims) : undefined);
    if (session === undefined) throw refuse("session_expired", "session", "the session has ended or never existed");
    if (session.userId !== userId) throw refuse("unauthorized", "other_user", "the session belongs to another user");
    return session;
  }

  /** Undefined if the session was ended here. */
  async function adopt(claims: TokenClaims): Promise<SessionPeek | undefined> {
    const { userId, sessionId, roles, channels, info, providerSessionId } = claims;
    const adopted = await sessions.adopt(sessionId, { userId, roles, channels, info }, providerSessionId);
    if (adopted !== undefined && adopted.evicted.length > 0) onEvicted?.(userId, adopted.evicted);
    // Another handshake may have begun it at the same time.
    return (await sessions.admission(sessionId)).session;
  }

  function seen(claims: TokenClaims, session: SessionPeek, userAgent?: string): Identity {
    const { lastSeenAt, slidingMs } = session;
    // A failure to record the time must not refuse the client.
    sessions.touch(claims.sessionId, { lastSeenAt, userAgent, slidingMs }).catch(ignore);
    return toIdentity(claims, session);
  }

  return {
    async check(token) {
      const claims = await tokens.verify(token);
      return toIdentity(claims, await checkSession(claims, sessions.adoptable));
    },

    async authenticate(token, client, onVerified) {
      const claims = await tokens.verify(token);
      onVerified?.(claims.sessionId, claims.userId);
      return seen(claims, await checkSession(claims), client?.userAgent);
    },

    async authenticateSession(session, client, onVerified) {
      onVerified?.(session.sessionId, session.userId);
      const claims = { ...session, tokenId: "", expiresAt: Infinity, roles: undefined, channels: undefined };
      return seen(claims, await checkSession(claims), client?.userAgent);
    },

    async authenticateLogin({ askedAt, ...login }, client, onVerified) {
      const { userId } = login;
      const sessionId = appSessionIdOf(userId);
      onVerified?.(sessionId, userId);
      const { isBlocked, session } = await sessions.admission(sessionId);
      const reason = { rule: "blocked", userId, sessionId } as const;
      if (isBlocked) throw new GatewayError("user_blocked", undefined, { reason });
      const { expiresAt, evicted, ...rights } = await sessions.renew(sessionId, login);
      if (evicted.length > 0) onEvicted?.(userId, evicted);
      sessions
        .touch(sessionId, { lastSeenAt: session?.lastSeenAt, userAgent: client?.userAgent })
        .catch(() => undefined);
      const claims = {
        userId,
        sessionId,
        tokenId: "",
        issuedAt: askedAt,
        expiresAt,
        roles: undefined,
        channels: undefined,
      };
      const { granted, revision } = session ?? {};
      const renewed = {
        userId,
        expiresAt,
        lastSeenAt: undefined,
        ...rights,
        ...(granted && { granted }),
        ...(revision && { revision }),
      };
      return { ...toIdentity(claims, renewed), isFromApp: true };
    },

    async refresh(identity, token) {
      const claims = await tokens.verify(token);
      const isSame = claims.userId === identity.userId && claims.sessionId === identity.sessionId;
      if (!isSame)
        throw new GatewayError("forbidden", "The token belongs to another user or session.", { field: "token" });
      return seen(claims, await checkSession(claims));
    },
  };
}

/**
 * The token's roles and grants take precedence; if it has none, the session's apply. They also apply to a token issued
 * before they were changed. Tokens count in whole seconds.
 */
function toIdentity(claims: TokenClaims, session: SessionPeek): Identity {
  const { revision = 0, rightsAt = 0, info, granted, slidingMs } = session;
  const isOutdated = claims.issuedAt <= rightsAt;
  // A token may end with its session: then the session has ended.
  const endsWithSession = session.expiresAt <= claims.expiresAt;
  return {
    userId: claims.userId,
    sessionId: claims.sessionId,
    tokenId: claims.tokenId,
    issuedAt: claims.issuedAt,
    expiresAt: endsWithSession ? session.expiresAt : claims.expiresAt,
    expiresBy: endsWithSession ? "session" : "token",
    roles: isOutdated ? session.roles : (claims.roles ?? session.roles),
    channels: isOutdated ? session.channels : (claims.channels ?? session.channels),
    ...(endsWithSession && { tokenExpiresAt: claims.expiresAt }),
    ...(info !== undefined && { info }),
    ...(granted !== undefined && { granted }),
    ...(revision > 0 && { revision }),
    ...(slidingMs !== undefined && { slidingMs }),
  };
}
