import { GatewayError, type ErrorCode, type RefusalRule } from "../protocol/errors.ts";
import type { TokenClaims } from "./claims.ts";
import type { Identity } from "./identity.ts";
import type { SessionPeek } from "./session-store.ts";
import type { Sessions } from "./sessions.ts";
import type { TokenBlacklist } from "./token-blacklist.ts";
import type { Tokens } from "./tokens.ts";

/**
 * Authenticates clients: first the token, which needs no round trip, then blacklist and session in one. Throws
 * `unauthorized`, `token_expired`, `token_revoked`, `session_expired`, or `unavailable` if Redis or the keys cannot be
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
    onVerified?: (sessionId: string) => void,
  ): Promise<Identity>;
  /** The same for a session whose client has proved by other means that it may use it (`ticket-store.ts`). */
  authenticateSession(
    session: Pick<TokenClaims, "userId" | "sessionId" | "issuedAt">,
    client?: { userAgent?: string | undefined },
    onVerified?: (sessionId: string) => void,
  ): Promise<Identity>;
  /** Replaces the token of an open connection; `forbidden` if it belongs to another user or session. */
  refresh(identity: Identity, token: unknown): Promise<Identity>;
}

export interface AuthenticatorDeps {
  tokens: Pick<Tokens, "verify">;
  sessions: Pick<Sessions, "peek" | "touch">;
  blacklist: Pick<TokenBlacklist, "isRevoked">;
}

export function createAuthenticator({ tokens, sessions, blacklist }: AuthenticatorDeps): Authenticator {
  async function checkSession(claims: TokenClaims): Promise<SessionPeek> {
    // Started in one tick, so that both are sent in one write.
    const [isRevoked, session] = await Promise.all([
      blacklist.isRevoked(claims.tokenId),
      sessions.peek(claims.sessionId),
    ]);
    const { userId, sessionId } = claims;
    const refuse = (code: ErrorCode, rule: RefusalRule, detail?: string): GatewayError =>
      new GatewayError(code, undefined, { reason: { rule, detail, userId, sessionId } });
    if (isRevoked) throw refuse("token_revoked", "revoked");
    if (session === undefined) throw refuse("session_expired", "session", "the session has ended or never existed");
    if (session.userId !== userId) throw refuse("unauthorized", "other_user", "the session belongs to another user");
    return session;
  }

  async function identify(claims: TokenClaims, userAgent?: string): Promise<Identity> {
    const session = await checkSession(claims);
    // A failure to record the time must not refuse the client.
    sessions.touch(claims.sessionId, { lastSeenAt: session.lastSeenAt, userAgent }).catch(() => undefined);
    return toIdentity(claims, session);
  }

  return {
    async authenticate(token, client, onVerified) {
      const claims = await tokens.verify(token);
      onVerified?.(claims.sessionId);
      return identify(claims, client?.userAgent);
    },

    async authenticateSession(session, client, onVerified) {
      onVerified?.(session.sessionId);
      const claims = { ...session, tokenId: "", expiresAt: Infinity, roles: undefined, channels: undefined };
      return identify(claims, client?.userAgent);
    },

    async refresh(identity, token) {
      const claims = await tokens.verify(token);
      const isSame = claims.userId === identity.userId && claims.sessionId === identity.sessionId;
      if (!isSame)
        throw new GatewayError("forbidden", "The token belongs to another user or session.", { field: "token" });
      return identify(claims);
    },
  };
}

/** The token's roles and grants take precedence; if it has none, the session's apply. */
function toIdentity(claims: TokenClaims, session: SessionPeek): Identity {
  const endsWithSession = session.expiresAt < claims.expiresAt;
  return {
    userId: claims.userId,
    sessionId: claims.sessionId,
    tokenId: claims.tokenId,
    issuedAt: claims.issuedAt,
    expiresAt: endsWithSession ? session.expiresAt : claims.expiresAt,
    expiresBy: endsWithSession ? "session" : "token",
    roles: claims.roles ?? session.roles,
    channels: claims.channels ?? session.channels,
  };
}
