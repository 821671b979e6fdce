import { GatewayError } from "../protocol/errors.ts";
import type { TokenClaims } from "./claims.ts";
import type { Identity } from "./identity.ts";
import type { SessionPeek } from "./session-store.ts";
import type { Sessions } from "./sessions.ts";
import type { TokenBlacklist } from "./token-blacklist.ts";
import type { Tokens } from "./tokens.ts";

/**
 * Decides who may come in: the token first, which costs no round trip, then blacklist and session, asked together.
 * Throws `unauthorized`, `token_expired`, `token_revoked`, `session_expired`, or `unavailable` where the store or the
 * keys cannot be asked: then nobody is let in.
 */
export interface Authenticator {
  /**
   * `token` is whatever a stranger sent in its place. `onVerified` is called when the token is known to be good and the
   * store is about to be asked, for what else is to be asked about the session in the same write.
   */
  authenticate(
    token: unknown,
    client?: { userAgent?: string | undefined },
    onVerified?: (sessionId: string) => void,
  ): Promise<Identity>;
  /** A fresh token on an open connection; `forbidden` where it is another user's or another session's. */
  refresh(identity: Identity, token: unknown): Promise<Identity>;
}

export interface AuthenticatorDeps {
  tokens: Pick<Tokens, "verify">;
  sessions: Pick<Sessions, "peek" | "touch">;
  blacklist: Pick<TokenBlacklist, "isRevoked">;
}

export function createAuthenticator({ tokens, sessions, blacklist }: AuthenticatorDeps): Authenticator {
  async function admit(claims: TokenClaims): Promise<SessionPeek> {
    // Started in one tick, so that both leave in one write.
    const [isRevoked, session] = await Promise.all([
      blacklist.isRevoked(claims.tokenId),
      sessions.peek(claims.sessionId),
    ]);
    if (isRevoked) throw new GatewayError("token_revoked");
    if (session === undefined) throw new GatewayError("session_expired");
    if (session.userId !== claims.userId) throw new GatewayError("unauthorized");
    return session;
  }

  async function enter(claims: TokenClaims, userAgent?: string): Promise<Identity> {
    const session = await admit(claims);
    // Bookkeeping: who was let in is not thrown out because a note could not be written.
    sessions.touch(claims.sessionId, { lastSeenAt: session.lastSeenAt, userAgent }).catch(() => undefined);
    return toIdentity(claims, session);
  }

  return {
    async authenticate(token, client, onVerified) {
      const claims = await tokens.verify(token);
      onVerified?.(claims.sessionId);
      return enter(claims, client?.userAgent);
    },

    async refresh(identity, token) {
      const claims = await tokens.verify(token);
      const isSame = claims.userId === identity.userId && claims.sessionId === identity.sessionId;
      if (!isSame)
        throw new GatewayError("forbidden", "The token belongs to another user or session.", { field: "token" });
      return enter(claims);
    },
  };
}

/** The token speaks first: it is newer, and signed. What it does not say at all, the session says. */
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
